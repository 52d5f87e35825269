//! The begin of a step.

use talkgraph_domain::{EventBody, RunError, RunErrorCode, StepPurpose};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};

/// Says that the step after `step` begins; returns which one that is.
pub(crate) fn begin_step(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    purpose: StepPurpose,
) -> Result<u32, RunAbort> {
    let most = task.limits(ctx).max_steps;
    // A summary takes no step from the answer: it is there for that to become better.
    if step >= most.saturating_add(ctx.summaries) {
        return Err(RunAbort::Failed(RunError {
            code: RunErrorCode::TooManySteps,
            message: format!("the model wanted more than {most} steps"),
            retryable: false,
        }));
    }
    match purpose {
        StepPurpose::Repair => ctx.answer.begin_repair(),
        StepPurpose::Answer | StepPurpose::Summary => ctx.answer.begin_step(),
    }
    let model = &ctx.run.model;
    tell_step(ctx, step + 1, model.clone(), purpose);
    Ok(step + 1)
}

pub(crate) fn tell_step(ctx: &mut RunContext, step: u32, model: String, purpose: StepPurpose) {
    ctx.pending.push(EventBody::StepStarted {
        step,
        model,
        purpose,
    });
}
