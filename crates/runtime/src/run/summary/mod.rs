//! The rolling summary of the turns that no longer fit into a model's context window.
//!
//! If turns would fall out of the window, the first step of the run writes a new summary from the
//! previous one and the messages after it. It leaves half of the room free, so that the next runs
//! only read it. A summary is optional: without one the run continues.

pub(crate) mod request;
pub(crate) mod summary_call;

use std::sync::Arc;

use talkgraph_domain::{EventBody, FinishReason, Message, StepPurpose, Summary};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::context_window::FittedPrompt;
use crate::run::history::{first_after, load_branch};
use crate::run::prompt::Turn;
use crate::run::run_prompt::{RunPrompt, full_prompt};
use crate::run::step_start::announce_step;

use crate::run::summary::request::SummaryRequest;
use crate::run::summary::summary_call::SummaryCall;

/// The most messages older than `history_messages` that one summary covers. A session has so many
/// only if its agent had no summaries before; older messages are lost to the model.
const CAUGHT_UP_MESSAGES: u32 = 200;

/// The extent of a summary.
struct Plan {
    fallen: Vec<Message>,
    /// The turn with which the conversation begins after it.
    keeps: Turn,
}

/// Writes a summary if one is due. Returns the number of its step, or 0.
pub(crate) async fn summarize_if_due(
    ctx: &mut RunContext,
    task: &Assignment,
    prompt: &mut RunPrompt,
) -> Result<u32, RunAbort> {
    let Some(plan) = plan_summary(ctx, task, prompt).await? else {
        return Ok(0);
    };
    ctx.summary_steps += 1;
    ctx.message.begin_step();
    let model = summary_models(ctx, task)
        .first()
        .cloned()
        .unwrap_or_default();
    announce_step(ctx, 1, model, StepPurpose::Summary);
    summarize(ctx, task, 1, plan, prompt).await?;
    Ok(1)
}

/// Writes the summary of a step whose server stopped.
pub(crate) async fn resume_summary(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    prompt: &mut RunPrompt,
) -> Result<(), RunAbort> {
    match plan_summary(ctx, task, prompt).await? {
        Some(plan) => summarize(ctx, task, step, plan, prompt).await,
        // The models of this server have larger windows.
        None => {
            finish_summary(ctx, step, SummaryCall::new(&ctx.run), None);
            Ok(())
        }
    }
}

fn summary_models(ctx: &RunContext, task: &Assignment) -> Vec<String> {
    let spec = &task.agent.current.spec;
    let own = spec.summary.iter().flat_map(|own| own.models.iter());
    let own: Vec<_> = own.cloned().collect();
    match own.is_empty() {
        true => ctx.services.catalog.models_of(spec).to_vec(),
        false => own,
    }
}

/// Plans a summary if one is due.
async fn plan_summary(
    ctx: &RunContext,
    task: &Assignment,
    prompt: &RunPrompt,
) -> Result<Option<Plan>, RunAbort> {
    let unread = load_unread(ctx, task, prompt).await?;
    let services = &ctx.services;
    let model = services.catalog.model_of(&task.agent.current.spec);
    let fitted = FittedPrompt::new(Arc::clone(services), full_prompt(ctx, task, prompt).await);
    let overflow = fitted.overflow(model).await?;
    let turns = &prompt.conversation.turns;
    // If there are too many messages, half of them stay, next to the one to answer.
    let half = task.limits(ctx).history_messages as usize / 2;
    let few = |turn: &&Turn| prompt.history.len() - turn.in_history <= half + 1;
    let too_many = match unread.is_empty() {
        true => None,
        false => turns.iter().find(few).or(turns.last()),
    };
    let from = overflow.max(too_many.map(|turn| turn.at));
    let keeps = from.and_then(|from| turns.iter().find(|turn| turn.at >= from));
    Ok(keeps.and_then(|keeps| {
        let read = prompt.history.iter().take(keeps.in_history).cloned();
        let fallen: Vec<_> = unread.into_iter().chain(read).collect();
        let keeps = *keeps;
        (!fallen.is_empty()).then_some(Plan { fallen, keeps })
    }))
}

/// Loads the messages that no summary covers and that are older than the history.
async fn load_unread(
    ctx: &RunContext,
    task: &Assignment,
    prompt: &RunPrompt,
) -> Result<Vec<Message>, RunAbort> {
    let read = prompt.history.first().map_or(0, |first| first.position);
    let oldest = read.saturating_sub_unsigned(CAUGHT_UP_MESSAGES);
    let from = first_after(prompt.summary.as_ref()).max(oldest);
    match from < read {
        true => load_branch(ctx, task, from, read).await,
        false => Ok(Vec::new()),
    }
}

async fn summarize(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    plan: Plan,
    prompt: &mut RunPrompt,
) -> Result<(), RunAbort> {
    // The start of the step is published before its first token.
    ctx.flush().await?;
    let mut made = SummaryCall::new(&ctx.run);
    let text = write_summary(ctx, task, step, &plan, prompt.summary.as_ref(), &mut made).await;
    let last = plan.fallen.last().filter(|_| text.is_some());
    let summary = last.zip(text).map(|(last, text)| Summary {
        session_id: last.session_id,
        message_id: last.id,
        position: last.position,
        text,
    });
    if let Some(summary) = &summary {
        prompt.keep_from(plan.keeps, summary.clone());
    }
    finish_summary(ctx, step, made, summary);
    Ok(())
}

/// Calls the models for a summary; none if they fail.
async fn write_summary(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    plan: &Plan,
    previous: Option<&Summary>,
    made: &mut SummaryCall,
) -> Option<String> {
    let (services, models) = (&ctx.services, summary_models(ctx, task));
    let own = task.agent.current.spec.summary.as_ref()?.tokens();
    let tokens = services
        .limits
        .max_output_tokens
        .map_or(own, |most| own.min(most));
    let request = SummaryRequest::new(services, &ctx.who, previous, &plan.fallen, tokens);
    let timeout = task.limits(ctx).step_timeout;
    let run = &mut ctx.run;
    let asked = made.ask(&ctx.services, &models, &request, run);
    match tokio::time::timeout(timeout, asked).await {
        Ok(Ok(text)) => return Some(text),
        Ok(Err(error)) => {
            tracing::warn!(step, %error, "there is no new summary; the run goes on");
        }
        Err(_) => tracing::warn!(step, ?timeout, "the summary took too long; the run goes on"),
    }
    None
}

fn finish_summary(ctx: &mut RunContext, step: u32, made: SummaryCall, summary: Option<Summary>) {
    let run = &mut ctx.run;
    let cost = made.usage_meter.cost();
    if summary.is_some() {
        made.usage_meter.update_cost(run);
    }
    let finish_reason = match summary {
        Some(_) => made.finish_reason.unwrap_or(FinishReason::Stop),
        None => FinishReason::Error,
    };
    let used = EventBody::UsageUpdated {
        usage: run.usage,
        cost: run.cost,
    };
    let finished = EventBody::StepFinished {
        step,
        finish_reason,
        model: made.model,
        usage: made.usage_meter.usage,
        cost,
        summary: summary.map(Box::new),
    };
    ctx.pending.extend([used, finished]);
}

impl RunPrompt {
    /// Removes the turns that the summary covers from the prompt.
    fn keep_from(&mut self, turn: Turn, summary: Summary) {
        self.conversation.begin_with(turn);
        self.history
            .drain(..turn.in_history.min(self.history.len()));
        self.summary = Some(summary);
    }
}
