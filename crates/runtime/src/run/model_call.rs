//! One model call: its stream becomes events and parts of the message.

use std::sync::Arc;

use futures_util::StreamExt;
use tracing::Instrument;

use talkgraph_domain::{EventBody, FinishReason, RunError, RunErrorCode, ToolCallId};
use talkgraph_llm::StreamPart;

use crate::run::abort::{RunAbort, too_long};
use crate::run::context::{Assignment, RunContext};
use crate::run::context_window::{Fitted, Shown};
use crate::run::empty_answer::{end_in_silence, models_left};
use crate::run::run_prompt::{RunPrompt, shown};
use crate::run::usage_meter::Spending;

/// How many events are gathered at most for the next write, and results of tools at once.
pub(crate) const READY_PARTS: usize = 256;

/// A step's stream, as far as it was taken.
struct Taking {
    spending: Spending,
    /// The provider's number of each call, and our id for it.
    calls: Vec<(u32, ToolCallId)>,
    step: u32,
    /// The sequence of the last event before the step's first token.
    started: u64,
}

impl Taking {
    fn call(&self, index: u32) -> Option<ToolCallId> {
        let call = self.calls.iter().find(|(number, _)| *number == index);
        call.map(|(_, id)| *id)
    }
}

pub(crate) async fn make_step(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    prompt: &RunPrompt,
) -> Result<(), RunAbort> {
    let shown = shown(ctx, task, prompt).await;
    let span = tracing::error_span!("step", step, model = ctx.run.model);
    let timeout = task.limits(ctx).step_timeout;
    let made = tokio::time::timeout(
        timeout,
        stream_model_call(ctx, task, step, shown).instrument(span),
    );
    made.await.unwrap_or_else(|_| {
        let error = too_long(RunErrorCode::StepTimeout, "the model call", timeout);
        Err(RunAbort::Failed(error))
    })
}

async fn stream_model_call(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    shown: Shown,
) -> Result<(), RunAbort> {
    let mut taking = Taking {
        spending: Spending::new(&ctx.run),
        calls: Vec::new(),
        step,
        started: 0,
    };
    ctx.finish_reason = None;
    // That the step has begun is told before its first token.
    ctx.flush().await?;
    taking.started = ctx.log.last_sequence();
    let services = Arc::clone(&ctx.services);
    let models = services.catalog.models_of(&task.agent.current.spec);
    let models = models_left(ctx, models);
    let fitted = Fitted::new(Arc::clone(&services), shown);
    let answering = tokio::select! {
        biased;
        answering = services.models.stream(models, &fitted) => answering,
        // Who has the run no longer asks no model.
        lost = ctx.log.refused() => return Err(lost.into()),
    };
    let answering = match answering {
        Ok(answering) => answering,
        Err(error) => return end_in_silence(ctx, step, error),
    };
    let price = services.models.price(&answering.model);
    taking.spending.at(price, &mut ctx.run);
    ctx.run.model = answering.model;
    let mut parts = answering.parts;
    loop {
        let waiting = ctx.pending.len();
        tokio::select! {
            biased;
            part = parts.next(), if waiting < READY_PARTS => {
                let Some(part) = part else { break };
                take(ctx, part?, &mut taking)?;
            }
            // One write at a time: what comes while it is committed goes into the next
            // one. Even a model that is faster than the database then costs the run a
            // write for each commit, not for each packet.
            () = ctx.log.caught_up(), if waiting > 0 => ctx.flush().await?,
            // Nothing may wait for the database until the model says more: it may be done.
            () = ctx.log.failed() => ctx.flush().await?,
        }
    }
    let spending = taking.spending;
    let run = &mut ctx.run;
    fitted.observe(&run.model, spending.before(), run.usage);
    spending.settle(run);
    ctx.pending.push(EventBody::UsageUpdated {
        usage: ctx.run.usage,
        cost: ctx.run.cost,
    });
    let finish_reason = ctx.finish_reason.unwrap_or(FinishReason::Stop);
    ctx.answer.end_step(finish_reason);
    ctx.pending.push(EventBody::StepFinished {
        step,
        finish_reason,
        model: Some(ctx.run.model.clone()),
        usage: spending.usage,
        cost: spending.cost(),
        summary: None,
    });
    Ok(())
}

fn take(ctx: &mut RunContext, part: StreamPart, taking: &mut Taking) -> Result<(), RunAbort> {
    let event = match part {
        StreamPart::Text(text) => Some(ctx.answer.add_text(text)),
        StreamPart::TextWasReasoning => return take_back_text(ctx, taking),
        StreamPart::Reasoning(text) => Some(ctx.answer.add_reasoning(text, None)),
        StreamPart::ReasoningSignature(signature) => {
            let event = ctx.answer.add_reasoning(String::new(), Some(signature));
            Some(event)
        }
        StreamPart::ToolCallStarted { index, name, .. } => {
            let id = ToolCallId::new();
            taking.calls.push((index, id));
            Some(ctx.answer.start_call(id, name))
        }
        StreamPart::ToolCallArguments { index, delta } => taking
            .call(index)
            .map(|id| ctx.answer.add_arguments(id, delta)),
        // The end of the step tells it of all of them.
        StreamPart::ToolCallCompleted { .. } => None,
        StreamPart::Usage(usage) => {
            taking.spending.tell(usage, &mut ctx.run);
            None
        }
        StreamPart::UsageUnknown => {
            taking.spending.forget(&mut ctx.run);
            None
        }
        StreamPart::Finish(reason) => {
            ctx.finish_reason = Some(reason);
            None
        }
    };
    ctx.pending.extend(event);
    let limit = ctx.services.limits.answer_bytes;
    if ctx.answer.bytes() > limit {
        return Err(RunAbort::Failed(RunError {
            code: RunErrorCode::AnswerTooLong,
            message: format!("the answer grew past {limit} bytes"),
            retryable: false,
        }));
    }
    Ok(())
}

/// Says that the text of the step was its reasoning, and gives it as that.
fn take_back_text(ctx: &mut RunContext, taking: &Taking) -> Result<(), RunAbort> {
    let answer = &mut ctx.answer;
    let reasoning = answer.step_text().trim_end().to_owned();
    answer.restart_step();
    let restarted = EventBody::StepRestarted {
        step: taking.step,
        discard_after: taking.started,
    };
    let reasoning = answer.add_reasoning(reasoning, None);
    ctx.pending.extend([restarted, reasoning]);
    Ok(())
}
