//! The start of a step.

use talkgraph_domain::{EventBody, RunError, RunErrorCode, StepPurpose};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};

/// Starts the step after `step` and returns its number.
pub(crate) fn begin_step(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    purpose: StepPurpose,
) -> Result<u32, RunAbort> {
    let most = task.limits(ctx).max_steps;
    // Summaries do not count: they improve the answer and take no step from it.
    if step >= most.saturating_add(ctx.summary_steps) {
        return Err(RunAbort::Failed(RunError {
            code: RunErrorCode::TooManySteps,
            message: format!("the model wanted more than {most} steps"),
            retryable: false,
        }));
    }
    match purpose {
        StepPurpose::Repair => ctx.message.begin_repair(),
        StepPurpose::Answer | StepPurpose::Summary => ctx.message.begin_step(),
    }
    let model = &ctx.run.model;
    announce_step(ctx, step + 1, model.clone(), purpose);
    Ok(step + 1)
}

pub(crate) fn announce_step(ctx: &mut RunContext, step: u32, model: String, purpose: StepPurpose) {
    ctx.pending.push(EventBody::StepStarted {
        step,
        model,
        purpose,
    });
}
