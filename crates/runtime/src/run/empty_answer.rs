//! Steps that end with nothing that anyone could use: an empty answer, or a call of a tool that
//! the provider could not read.
//!
//! An empty answer is no success. One without anything is repeated by `llm/resilient`, and then
//! asked of the next model, before this room sees it. Reasoning alone has been shown by then, so
//! the step that follows discards it ([`StepPurpose::Repair`]). The model is told, because the
//! same request tends to give the same: Claude often ends with nothing after results of tools
//! (<https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons>). Text that
//! came next to the calls does not stand in for an answer: it usually announces them
//! (<https://github.com/pydantic/pydantic-ai/pull/6403>).

use talkgraph_domain::{EventBody, FinishReason, RunError, RunErrorCode, StepPurpose};
use talkgraph_llm::{ChatMessage, LlmError};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::step_start::begin_step;
use crate::run::usage_meter::check_cost;

const EMPTY: &str = "Your last answer was empty. Answer now, with text or by calling a tool.";
const UNREAD: &str = "Your last call of a tool could not be read. Call it once more, with its \
                      arguments as one valid JSON object, or answer without it.";

/// The step that asks again where the answer of `step` is empty.
///
/// # Errors
/// When it was asked for often enough.
pub(crate) fn ask_again(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
) -> Result<Option<u32>, RunAbort> {
    if ctx.answer.has_answer() {
        return Ok(None);
    }
    let message = match ctx.finish_reason {
        Some(FinishReason::Stop) | None => "the model ended without an answer",
        // The same limit would be reached again.
        Some(FinishReason::Length) => {
            return Err(empty(
                "the model reached its limit of tokens before it began to answer; raise \
                 max_output_tokens, or lower its effort",
                false,
            ));
        }
        // What is withheld says so.
        Some(_) => return Ok(None),
    };
    let is_last = step >= task.limits(ctx).max_steps.saturating_add(ctx.summaries);
    if is_last || ctx.answer.empties() >= ctx.services.limits.empty_answers {
        return Err(empty(message, true));
    }
    tracing::warn!(step, "a model's answer is empty: it is asked again");
    check_cost(ctx, task)?;
    begin_step(ctx, task, step, StepPurpose::Repair).map(Some)
}

/// Ends a step in which no model has said anything. After results of tools the models are
/// asked once more, and told.
pub(crate) fn end_in_silence(
    ctx: &mut RunContext,
    step: u32,
    error: LlmError,
) -> Result<(), RunAbort> {
    let answer = &ctx.answer;
    let is_told = error == LlmError::Empty && !answer.is_empty() && answer.empties() == 0;
    if !is_told {
        return Err(error.into());
    }
    ctx.finish_reason = Some(FinishReason::Stop);
    let finished = EventBody::StepFinished {
        step,
        finish_reason: FinishReason::Stop,
        model: None,
        usage: None,
        cost: None,
        summary: None,
    };
    ctx.answer.end_step(FinishReason::Stop);
    ctx.pending.push(finished);
    Ok(())
}

/// The models that are asked. An empty answer is asked for again of the same model first,
/// then of the next.
pub(crate) fn models_left<'a>(ctx: &RunContext, models: &'a [String]) -> &'a [String] {
    let answered = models.iter().position(|model| *model == ctx.run.model);
    match (ctx.answer.empties(), answered) {
        (2.., Some(at)) if at + 1 < models.len() => &models[at + 1..],
        _ => models,
    }
}

/// What the model is told of a step that came to nothing.
pub(crate) fn reminder(ctx: &RunContext) -> Option<ChatMessage> {
    let answer = &ctx.answer;
    if answer.rejected().is_some_and(|text| text.trim().is_empty()) {
        return Some(ChatMessage::user(EMPTY));
    }
    answer.was_unread().then(|| ChatMessage::user(UNREAD))
}

fn empty(message: &str, retryable: bool) -> RunAbort {
    RunAbort::Failed(RunError {
        code: RunErrorCode::EmptyAnswer,
        message: message.to_owned(),
        retryable,
    })
}
