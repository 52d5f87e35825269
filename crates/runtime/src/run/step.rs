//! The loop of a run: model call, tools, model call, until there is a message or a limit is reached.

use talkgraph_domain::{FinishReason, RunError, RunErrorCode, StepPurpose};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::empty_answer::ask_again;
use crate::run::model_call::make_step;
use crate::run::run_prompt::{load_prompt, show_results};
use crate::run::step_start::begin_step;
use crate::run::structured_output::conclude;
use crate::run::summary::{begin, summarise_again};
use crate::run::tool_round::call_tools;
use crate::run::usage_meter::check_cost;

/// What a run does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The first model call, and before it a summary where one is due.
    First,
    /// This step, which makes a summary.
    Summary(u32),
    /// The model call after the summary that this step was for.
    Summarised(u32),
    /// A model call.
    Step(u32),
    /// The check of the answer that this step has made.
    Conclude(u32),
    /// The calls that this step has asked for.
    Tools(u32),
    /// As [`NextStep::Tools`], after a server died that may have been making them.
    ToolsInDoubt(u32),
}

/// Model, tools, model, until an answer or a limit.
pub(crate) async fn answer(
    ctx: &mut RunContext,
    task: &mut Assignment,
    mut next: NextStep,
) -> Result<(), RunAbort> {
    let mut prompt = load_prompt(ctx, task).await?;
    let mut mistakes = 0;
    loop {
        next = match next {
            NextStep::First => NextStep::Summarised(begin(ctx, task, &mut prompt).await?),
            NextStep::Summary(step) => {
                summarise_again(ctx, task, step, &mut prompt).await?;
                NextStep::Summarised(step)
            }
            NextStep::Summarised(step) => {
                check_cost(ctx, task)?;
                NextStep::Step(begin_step(ctx, task, step, StepPurpose::Answer)?)
            }
            NextStep::Step(step) => {
                show_results(ctx, task, &mut prompt).await?;
                make_step(ctx, task, step, &prompt).await?;
                // A call that a limit has cut is not made.
                match ctx.finish_reason == Some(FinishReason::ToolCalls) {
                    true => {
                        check_cost(ctx, task)?;
                        NextStep::Tools(step)
                    }
                    false => NextStep::Conclude(step),
                }
            }
            NextStep::Conclude(step) => match ask_again(ctx, task, step)? {
                Some(again) => NextStep::Step(again),
                None => match conclude(ctx, task, step).await? {
                    Some(repair) => NextStep::Step(repair),
                    None => return Ok(()),
                },
            },
            NextStep::Tools(step) | NextStep::ToolsInDoubt(step) => {
                let in_doubt = matches!(next, NextStep::ToolsInDoubt(_));
                mistakes += match ctx.answer.is_unread() {
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
