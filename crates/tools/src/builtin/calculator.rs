//! Arithmetic, at which models are poor.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::output::shortened;
use crate::{Tool, ToolContext, ToolError, ToolOutput};
use talkgraph_evaluation::{Evaluator, Failure};

/// The longest expression, in bytes. The evaluator recurses, at worst once for each byte.
const EXPRESSION_BYTES: usize = 250;

/// The longest result, in bytes: more digits are of no use.
const RESULT_BYTES: usize = 4_096;

/// The allowed characters in addition to letters and digits. Without `:`, `=`, `\` and `;` an
/// expression cannot define a function, and so no recursion that exhausts the stack.
const SIGNS: &str = "+-*/^%!().,_'\"@ ×÷−·√°²³$€£&|~";

/// Computes with exact numbers, functions, percentages and units.
pub struct Calculator(pub Evaluator);

#[derive(Deserialize)]
struct Arguments {
    expression: String,
}

impl Calculator {
    /// The tool's name.
    pub const NAME: &str = "calculator";

    /// The tool's description for models.
    pub const DESCRIPTION: &str = "Evaluates an arithmetic expression and tells the result. Has \
        + - * / ^ ! mod, percentages, sqrt, log, ln, exp, sin, cos, tan, pi, e, dates and units: \
        \"(2 + 3) * 4^2\", \"12.5% of 80\", \"5 km to miles\", \"100 degC to degF\". \
        Use it for every calculation.";

    /// The JSON Schema of its arguments.
    pub fn parameters() -> Value {
        json!({
            "type": "object",
            "properties": {
                "expression": {
                    "type": "string",
                    "description": "The expression.",
                    "minLength": 1,
                    "maxLength": EXPRESSION_BYTES,
                },
            },
            "required": ["expression"],
            "additionalProperties": false,
        })
    }
}

#[async_trait]
impl Tool for Calculator {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let Arguments { expression } =
            serde_json::from_value(arguments).map_err(ToolError::internal)?;
        check(&expression)?;
        let calculated = self.0.calculate(&context.principal, &expression).await;
        match calculated {
            Ok(result) => Ok(ToolOutput::new(result).capped(RESULT_BYTES)),
            Err(Failure::Unavailable(cause)) => Err(ToolError::internal(cause)),
            Err(error) => Err(ToolError::Failed(shortened(&error.to_string(), 200))),
        }
    }
}

fn check(expression: &str) -> Result<(), ToolError> {
    if expression.len() > EXPRESSION_BYTES {
        let why = format!("the expression may have at most {EXPRESSION_BYTES} bytes");
        return Err(ToolError::Failed(why));
    }
    let foreign = |c: &char| !c.is_alphanumeric() && !SIGNS.contains(*c);
    match expression.chars().find(foreign) {
        Some(c) => Err(ToolError::Failed(format!(
            "{c:?} cannot be in an expression; write one as \"sqrt(2) * 10\""
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::context;

    async fn calculate(expression: &str) -> Result<String, String> {
        let arguments = json!({ "expression": expression });
        let calculator = Calculator(Evaluator::in_process());
        let called = calculator.call(&context(), arguments).await;
        called
            .map(|output| output.text)
            .map_err(|error| error.public_message())
    }

    #[tokio::test]
    async fn it_computes() {
        for (expression, result) in [
            ("2 + 2 * 3", "8"),
            ("0.1 + 0.2", "0.3"),
            ("(2^64) mod 7", "2"),
            ("12.5% of 80", "10"),
            ("sqrt(2)", "approx. 1.4142135624"),
            ("5 km to miles", "approx. 3.1068559612 miles"),
            ("2 ** 10", "1024"),
            ("@2024-02-28 + 2 days", "Friday, 1 March 2024"),
        ] {
            assert_eq!(
                calculate(expression).await.as_deref(),
                Ok(result),
                "{expression}"
            );
        }
    }

    #[tokio::test]
    async fn invalid_expressions_are_reported() {
        for (expression, why) in [
            ("10 / 0", "division by zero"),
            ("1 +", "expected"),
            ("frobnicate(3)", "unknown identifier"),
            ("5 USD to EUR", "exchange rates"),
            ("(\\x.x x)(\\x.x x)", "'\\\\'"),
            ("f = 1", "'='"),
            ("f: f", "':'"),
        ] {
            let told = calculate(expression).await.unwrap_err();
            assert!(told.contains(why), "{expression}: {told}");
        }
    }

    #[tokio::test]
    async fn nothing_runs_away() {
        let half = EXPRESSION_BYTES / 2;
        for expression in [
            "9^9^9^9".to_owned(),
            "10^100000000".to_owned(),
            "99999999!".to_owned(),
            format!("{}1{}", "(".repeat(half), ")".repeat(half - 1)),
            "(".repeat(EXPRESSION_BYTES),
            "-".repeat(EXPRESSION_BYTES),
            "sqrt ".repeat(EXPRESSION_BYTES / 5),
            vec!["2"; half].join("^"),
            vec!["1"; half].join("+"),
            format!("1{}", "!".repeat(EXPRESSION_BYTES - 1)),
        ] {
            // Any result is fine, as long as the call returns.
            let _ = calculate(&expression).await;
        }
    }
}
