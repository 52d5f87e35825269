//! One model call: its stream becomes events and parts of the message.

use std::sync::Arc;

use futures_util::StreamExt;
use tracing::Instrument;

use talkgraph_domain::{EventBody, FinishReason, RunError, RunErrorCode, ToolCallId};
use talkgraph_llm::StreamPart;

use crate::run::abort::{RunAbort, too_long};
use crate::run::context::{Assignment, RunContext};
use crate::run::context_window::{FittedPrompt, FullPrompt};
use crate::run::empty_answer::{end_silent_step, remaining_models};
use crate::run::run_prompt::{RunPrompt, full_prompt};
use crate::run::usage_meter::UsageMeter;

/// The most events of one write, and the most tool results handled at once.
pub(crate) const MAX_BATCH: usize = 256;

/// The state of one model call's stream.
struct StreamState {
    usage_meter: UsageMeter,
    /// The provider's index of each call, and its id.
    calls: Vec<(u32, ToolCallId)>,
    step: u32,
    /// The sequence of the last event before the step's first token.
    started: u64,
}

impl StreamState {
    fn call(&self, index: u32) -> Option<ToolCallId> {
        let call = self.calls.iter().find(|(number, _)| *number == index);
        call.map(|(_, id)| *id)
    }
}

pub(crate) async fn call_model(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    prompt: &RunPrompt,
) -> Result<(), RunAbort> {
    let shown = full_prompt(ctx, task, prompt).await;
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
    shown: FullPrompt,
) -> Result<(), RunAbort> {
    let mut state = StreamState {
        usage_meter: UsageMeter::new(&ctx.run),
        calls: Vec::new(),
        step,
        started: 0,
    };
    ctx.finish_reason = None;
    // The start of the step is published before its first token.
    ctx.flush().await?;
    state.started = ctx.log.last_sequence();
    let services = Arc::clone(&ctx.services);
    let models = services.catalog.models_of(&task.agent.current.spec);
    let models = remaining_models(ctx, models);
    let fitted = FittedPrompt::new(Arc::clone(&services), shown);
    let answering = tokio::select! {
        biased;
        answering = services.models.stream(models, &fitted) => answering,
        // A run that another server holds calls no model.
        lost = ctx.log.wait_refused() => return Err(lost.into()),
    };
    let answering = match answering {
        Ok(answering) => answering,
        Err(error) => return end_silent_step(ctx, step, error),
    };
    let price = services.models.price(&answering.model);
    state.usage_meter.set_price(price, &mut ctx.run);
    ctx.run.model = answering.model;
    let mut parts = answering.parts;
    loop {
        let waiting = ctx.pending.len();
        tokio::select! {
            biased;
            part = parts.next(), if waiting < MAX_BATCH => {
                let Some(part) = part else { break };
                apply_part(ctx, part?, &mut state)?;
            }
            // One write at a time: parts that arrive during a commit go into the next write. A
            // model that is faster than the database costs the run one write for each commit, not
            // for each packet.
            () = ctx.log.wait_idle(), if waiting > 0 => ctx.flush().await?,
            // A failed write is repeated at once: the model may send nothing more.
            () = ctx.log.wait_failed() => ctx.flush().await?,
        }
    }
    let usage_meter = state.usage_meter;
    let run = &mut ctx.run;
    fitted.observe(&run.model, usage_meter.before(), run.usage);
    usage_meter.update_cost(run);
    ctx.pending.push(EventBody::UsageUpdated {
        usage: ctx.run.usage,
        cost: ctx.run.cost,
    });
    let finish_reason = ctx.finish_reason.unwrap_or(FinishReason::Stop);
    ctx.message.end_step(finish_reason);
    ctx.pending.push(EventBody::StepFinished {
        step,
        finish_reason,
        model: Some(ctx.run.model.clone()),
        usage: usage_meter.usage,
        cost: usage_meter.cost(),
        summary: None,
    });
    Ok(())
}

fn apply_part(
    ctx: &mut RunContext,
    part: StreamPart,
    state: &mut StreamState,
) -> Result<(), RunAbort> {
    let event = match part {
        StreamPart::Text(text) => Some(ctx.message.add_text(text)),
        StreamPart::TextWasReasoning => return convert_text_to_reasoning(ctx, state),
        StreamPart::Reasoning(text) => Some(ctx.message.add_reasoning(text, None)),
        StreamPart::ReasoningSignature(signature) => {
            let event = ctx.message.add_reasoning(String::new(), Some(signature));
            Some(event)
        }
        StreamPart::ToolCallStarted { index, name, .. } => {
            let id = ToolCallId::new();
            state.calls.push((index, id));
            Some(ctx.message.start_call(id, name))
        }
        StreamPart::ToolCallArguments { index, delta } => state
            .call(index)
            .map(|id| ctx.message.add_arguments(id, delta)),
        // The end of the step covers all calls.
        StreamPart::ToolCallCompleted { .. } => None,
        StreamPart::Usage(usage) => {
            state.usage_meter.report(usage, &mut ctx.run);
            None
        }
        StreamPart::UsageUnknown => {
            state.usage_meter.discard(&mut ctx.run);
            None
        }
        StreamPart::Finish(reason) => {
            ctx.finish_reason = Some(reason);
            None
        }
    };
    ctx.pending.extend(event);
    let limit = ctx.services.limits.answer_bytes;
    if ctx.message.bytes() > limit {
        return Err(RunAbort::Failed(RunError {
            code: RunErrorCode::AnswerTooLong,
            message: format!("the answer grew past {limit} bytes"),
            retryable: false,
        }));
    }
    Ok(())
}

/// Discards the text of the step and adds it as reasoning.
fn convert_text_to_reasoning(ctx: &mut RunContext, state: &StreamState) -> Result<(), RunAbort> {
    let answer = &mut ctx.message;
    let reasoning = answer.step_text().trim_end().to_owned();
    answer.restart_step();
    let restarted = EventBody::StepRestarted {
        step: state.step,
        discard_after: state.started,
    };
    let reasoning = answer.add_reasoning(reasoning, None);
    ctx.pending.extend([restarted, reasoning]);
    Ok(())
}
