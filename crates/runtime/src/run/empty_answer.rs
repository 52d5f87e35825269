//! Steps without usable output: an empty answer, or a tool call that the provider could not parse.
//!
//! An empty answer is no success. An answer without any content is retried by `llm/resilient`, with
//! the next model at last, before a run sees it. Reasoning alone has already been streamed, so the
//! next step discards it ([`StepPurpose::Repair`]). The request includes a reminder, because the
//! same request tends to give the same output: Claude often ends with nothing after tool results
//! (<https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons>). Text next to
//! tool calls is no substitute for an answer: it usually announces the calls
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

/// Starts a retry if the output of `step` is empty, and returns the number of its step.
///
/// # Errors
/// Fails when no retry is left.
pub(crate) fn retry_empty_answer(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
) -> Result<Option<u32>, RunAbort> {
    if ctx.message.has_answer() {
        return Ok(None);
    }
    let message = match ctx.finish_reason {
        Some(FinishReason::Stop) | None => "the model ended without an answer",
        // A retry would reach the same limit.
        Some(FinishReason::Length) => {
            return Err(empty(
                "the model reached its limit of tokens before it began to answer; raise \
                 max_output_tokens, or lower its effort",
                false,
            ));
        }
        // Other reasons, such as a content filter, explain the empty output.
        Some(_) => return Ok(None),
    };
    let is_last = step >= task.limits(ctx).max_steps.saturating_add(ctx.summary_steps);
    if is_last || ctx.message.empty_attempts() >= ctx.services.limits.empty_answers {
        return Err(empty(message, true));
    }
    tracing::warn!(step, "a model's answer is empty: it is asked again");
    check_cost(ctx, task)?;
    begin_step(ctx, task, step, StepPurpose::Repair).map(Some)
}

/// Ends a step in which no model sent anything. After tool results there is one retry, with a
/// reminder.
pub(crate) fn end_silent_step(
    ctx: &mut RunContext,
    step: u32,
    error: LlmError,
) -> Result<(), RunAbort> {
    let answer = &ctx.message;
    let is_told = error == LlmError::Empty && !answer.is_empty() && answer.empty_attempts() == 0;
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
    ctx.message.end_step(FinishReason::Stop);
    ctx.pending.push(finished);
    Ok(())
}

/// The models to call. A retry calls the same model first, then the next one.
pub(crate) fn remaining_models<'a>(ctx: &RunContext, models: &'a [String]) -> &'a [String] {
    let answered = models.iter().position(|model| *model == ctx.run.model);
    match (ctx.message.empty_attempts(), answered) {
        (2.., Some(at)) if at + 1 < models.len() => &models[at + 1..],
        _ => models,
    }
}

/// The reminder that follows a step without usable output.
pub(crate) fn retry_reminder(ctx: &RunContext) -> Option<ChatMessage> {
    let answer = &ctx.message;
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
