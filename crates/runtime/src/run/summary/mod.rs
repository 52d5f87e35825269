//! The rolling summary: what a model is told of the turns that it is no longer shown.
//!
//! Where turns would fall out of the window, the run's first step makes a new summary of the
//! last one and of what has been said since. It leaves half of the room free, so that the next
//! runs only read it. It is a help, not a condition: without one the run goes on.

pub(crate) mod request;
pub(crate) mod summary_call;

use std::sync::Arc;

use talkgraph_domain::{EventBody, FinishReason, Message, StepPurpose, Summary};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::context_window::Fitted;
use crate::run::history::{branch, first_after};
use crate::run::prompt::Turn;
use crate::run::run_prompt::{RunPrompt, shown};
use crate::run::step_start::tell_step;

use crate::run::summary::request::Question;
use crate::run::summary::summary_call::Made;

/// How many messages are summarised at most that were not even read for the model: those
/// before `history_messages`. A session is that far behind only where its agent had no
/// summaries before; what is older stays forgotten.
const CAUGHT_UP_MESSAGES: u32 = 200;

/// What a summary shall cover.
struct Plan {
    fallen: Vec<Message>,
    /// With which turn the conversation begins then.
    keeps: Turn,
}

/// Makes a summary where one is due. Returns the last step so far: 0 if there is none.
pub(crate) async fn begin(
    ctx: &mut RunContext,
    task: &Assignment,
    prompt: &mut RunPrompt,
) -> Result<u32, RunAbort> {
    let Some(plan) = plan(ctx, task, prompt).await? else {
        return Ok(0);
    };
    ctx.summaries += 1;
    ctx.answer.begin_step();
    let model = summary_models(ctx, task)
        .first()
        .cloned()
        .unwrap_or_default();
    tell_step(ctx, 1, model, StepPurpose::Summary);
    summarise(ctx, task, 1, plan, prompt).await?;
    Ok(1)
}

/// Makes the summary of a step whose server died.
pub(crate) async fn summarise_again(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    prompt: &mut RunPrompt,
) -> Result<(), RunAbort> {
    match plan(ctx, task, prompt).await? {
        Some(plan) => summarise(ctx, task, step, plan, prompt).await,
        // This server's models have larger windows.
        None => {
            end_summary(ctx, step, Made::new(&ctx.run), None);
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

/// What is to be summarised, if anything is.
async fn plan(
    ctx: &RunContext,
    task: &Assignment,
    prompt: &RunPrompt,
) -> Result<Option<Plan>, RunAbort> {
    let unread = unread(ctx, task, prompt).await?;
    let services = &ctx.services;
    let model = services.catalog.model_of(&task.agent.current.spec);
    let fitted = Fitted::new(Arc::clone(services), shown(ctx, task, prompt).await);
    let overflow = fitted.overflow(model).await?;
    let turns = &prompt.conversation.turns;
    // Where messages were too many, half of them stay, too, beside the one that is answered.
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

/// What is covered by no summary and older than what the model is shown.
async fn unread(
    ctx: &RunContext,
    task: &Assignment,
    prompt: &RunPrompt,
) -> Result<Vec<Message>, RunAbort> {
    let read = prompt.history.first().map_or(0, |first| first.position);
    let oldest = read.saturating_sub_unsigned(CAUGHT_UP_MESSAGES);
    let from = first_after(prompt.summary.as_ref()).max(oldest);
    match from < read {
        true => branch(ctx, task, from, read).await,
        false => Ok(Vec::new()),
    }
}

async fn summarise(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    plan: Plan,
    prompt: &mut RunPrompt,
) -> Result<(), RunAbort> {
    // That the step has begun is told before its first token.
    ctx.flush().await?;
    let mut made = Made::new(&ctx.run);
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
    end_summary(ctx, step, made, summary);
    Ok(())
}

/// Asks for a summary; none if there is none to be had.
async fn write_summary(
    ctx: &mut RunContext,
    task: &Assignment,
    step: u32,
    plan: &Plan,
    previous: Option<&Summary>,
    made: &mut Made,
) -> Option<String> {
    let (services, models) = (&ctx.services, summary_models(ctx, task));
    let own = task.agent.current.spec.summary.as_ref()?.tokens();
    let tokens = services
        .limits
        .max_output_tokens
        .map_or(own, |most| own.min(most));
    let question = Question::new(services, &ctx.who, previous, &plan.fallen, tokens);
    let timeout = task.limits(ctx).step_timeout;
    let run = &mut ctx.run;
    let asked = made.ask(&ctx.services, &models, &question, run);
    match tokio::time::timeout(timeout, asked).await {
        Ok(Ok(text)) => return Some(text),
        Ok(Err(error)) => {
            tracing::warn!(step, %error, "there is no new summary; the run goes on");
        }
        Err(_) => tracing::warn!(step, ?timeout, "the summary took too long; the run goes on"),
    }
    None
}

fn end_summary(ctx: &mut RunContext, step: u32, made: Made, summary: Option<Summary>) {
    let run = &mut ctx.run;
    let cost = made.spending.cost();
    if summary.is_some() {
        made.spending.settle(run);
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
        usage: made.spending.usage,
        cost,
        summary: summary.map(Box::new),
    };
    ctx.pending.extend([used, finished]);
}

impl RunPrompt {
    /// Begins the conversation with a later turn; what was before it is in the summary.
    fn keep_from(&mut self, turn: Turn, summary: Summary) {
        self.conversation.begin_with(turn);
        self.history
            .drain(..turn.in_history.min(self.history.len()));
        self.summary = Some(summary);
    }
}
