//! The loop of a run: model call, tool calls, model call, until the message is complete or a limit
//! is reached.

use talkgraph_domain::{FinishReason, RunError, RunErrorCode, StepPurpose};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::empty_answer::retry_empty_answer;
use crate::run::model_call::call_model;
use crate::run::run_prompt::{load_prompt, load_result_files};
use crate::run::step_start::begin_step;
use crate::run::structured_output::check_output;
use crate::run::summary::{resume_summary, summarize_if_due};
use crate::run::tool_round::call_tools;
use crate::run::usage_meter::check_cost;

/// The next action of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The first model call, after a summary if one is due.
    First,
    /// The summary of this step.
    Summary(u32),
    /// The model call after the summary of this step.
    Summarised(u32),
    /// A model call.
    Step(u32),
    /// The check of the output of this step.
    Conclude(u32),
    /// The tool calls of this step.
    Tools(u32),
    /// The tool calls of this step, which a server that stopped may have executed.
    ToolsInDoubt(u32),
}

/// Runs steps until the message is complete or a limit is reached.
pub(crate) async fn run_steps(
    ctx: &mut RunContext,
    task: &mut Assignment,
    mut next: NextStep,
) -> Result<(), RunAbort> {
    let mut prompt = load_prompt(ctx, task).await?;
    let mut mistakes = 0;
    loop {
        next = match next {
            NextStep::First => {
                NextStep::Summarised(summarize_if_due(ctx, task, &mut prompt).await?)
            }
            NextStep::Summary(step) => {
                resume_summary(ctx, task, step, &mut prompt).await?;
                NextStep::Summarised(step)
            }
            NextStep::Summarised(step) => {
                check_cost(ctx, task)?;
                NextStep::Step(begin_step(ctx, task, step, StepPurpose::Answer)?)
            }
            NextStep::Step(step) => {
                load_result_files(ctx, task, &mut prompt).await?;
                call_model(ctx, task, step, &prompt).await?;
                // A call that a token limit has truncated is not executed.
                match ctx.finish_reason == Some(FinishReason::ToolCalls) {
                    true => {
                        check_cost(ctx, task)?;
                        NextStep::Tools(step)
                    }
                    false => NextStep::Conclude(step),
                }
            }
            NextStep::Conclude(step) => match retry_empty_answer(ctx, task, step)? {
                Some(again) => NextStep::Step(again),
                None => match check_output(ctx, task, step).await? {
                    Some(repair) => NextStep::Step(repair),
                    None => return Ok(()),
                },
            },
            NextStep::Tools(step) | NextStep::ToolsInDoubt(step) => {
                let in_doubt = matches!(next, NextStep::ToolsInDoubt(_));
                mistakes += match ctx.message.is_unread() {
                    true => 1,
                    false => call_tools(ctx, task, &prompt, in_doubt).await?,
                };
                if mistakes > ctx.services.limits.tool_mistakes {
                    return Err(RunAbort::Failed(RunError {
                        code: RunErrorCode::ToolArguments,
                        message: "the model called tools wrongly too often".to_owned(),
                        retryable: true,
                    }));
                }
                if task.agent.current.id != prompt.version {
                    prompt = load_prompt(ctx, task).await?;
                }
                NextStep::Step(begin_step(ctx, task, step, StepPurpose::Answer)?)
            }
        };
    }
}
