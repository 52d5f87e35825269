//! Arithmetic with exact numbers, functions, percentages and units.

use std::time::{Duration, Instant};

use super::Failure;

/// The time limit of one calculation. Longer ones are endless rather than slow: `9^9^9^9`.
const COMPUTING: Duration = Duration::from_millis(500);

struct Deadline(Instant);

impl fend_core::Interrupt for Deadline {
    fn should_interrupt(&self) -> bool {
        Instant::now() > self.0
    }
}

/// Evaluates an expression.
pub(super) fn calculate(expression: &str) -> Result<String, Failure> {
    let mut context = fend_core::Context::new();
    context.disable_rng();
    let deadline = Deadline(Instant::now() + COMPUTING);
    match fend_core::evaluate_with_interrupt(expression, &mut context, &deadline) {
        Ok(result) => Ok(result.get_main_result().to_owned()),
        Err(_) if Instant::now() > deadline.0 => {
            Err(Failure::Wrong("the expression takes too long".to_owned()))
        }
        Err(error) => Err(Failure::Wrong(error)),
    }
}
