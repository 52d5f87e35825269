//! The end of a run: exactly one terminal event, written with the message and the final state.

use std::time::Duration;

use talkgraph_bus::RunOutcome;
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{EventBody, Message, Role, Run, RunEnd, RunError, RunErrorCode, RunStatus};
use talkgraph_store::{FinishedRun, Rewind, StoreError};

use crate::run::context::RunContext;
use crate::run::event_log::StateChange;
use crate::run::interrupts::call_interrupts::close_open_interrupts;
use crate::run::message_builder::MessageBuilder;
use crate::run::span;
use crate::run::store_retry::StoreBackoff;

/// The time in which a run that another server will resume writes its pending events.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(3);

/// Writes the end, with retries while the database is unavailable, and notifies subscribers. Gives
/// up only when the server stops or another server holds the run.
pub(crate) async fn finish(ctx: &mut RunContext, mut end: RunEnd) {
    let mut mends_log = ctx.log.is_broken();
    let mut pauses = StoreBackoff::new();
    loop {
        match try_finish(ctx, &end, mends_log).await {
            Ok(()) => return,
            Err(StoreError::Fenced) => return log_takeover(ctx),
            Err(StoreError::Conflict) if mends_log => {
                tracing::warn!(parent: ctx.live.span(), "the run is no longer ours to end");
                return;
            }
            // The log is read before the next attempt, which finds out why the write was refused.
            Err(StoreError::Conflict) => {}
            Err(error @ StoreError::Internal(_)) => {
                tracing::error!(parent: ctx.live.span(), %error, "the run's end was refused");
                end = give_up_answer(ctx);
            }
            Err(error) => {
                tracing::debug!(parent: ctx.live.span(), %error, "retrying to store the end of a run");
            }
        }
        mends_log = true;
        tokio::select! {
            () = pauses.pause() => {}
            () = ctx.services.abandon.cancelled() => return,
        }
    }
}

/// Logs that another server holds the run. Nothing more is written or published here; followers
/// continue with the events of the other server.
pub(crate) fn log_takeover(ctx: &RunContext) {
    tracing::warn!(run = %ctx.run.id, "another server has the run: it is given up here");
}

/// Writes the pending events for the server that resumes the run.
pub(crate) async fn checkpoint(ctx: &mut RunContext) {
    let pending = std::mem::take(&mut ctx.pending);
    let written = async {
        ctx.log.append(pending, StateChange::None).await?;
        ctx.log.wait_committed().await
    };
    match tokio::time::timeout(CHECKPOINT_TIMEOUT, written).await {
        Ok(Ok(())) => tracing::info!("the run is left to the next server"),
        // No follower has seen the lost events.
        Ok(Err(error)) => tracing::warn!(%error, "the run is left without its last events"),
        Err(_) => tracing::warn!("the run is left without its last events"),
    }
}

/// Discards a message that the database refuses, so that the failure of the run can be stored.
fn give_up_answer(ctx: &mut RunContext) -> RunEnd {
    ctx.message = MessageBuilder::new(ctx.run.output_message_id);
    ctx.pending.clear();
    RunEnd::Failed(RunError {
        code: RunErrorCode::Internal,
        message: "the answer could not be stored".to_owned(),
        retryable: true,
    })
}

async fn try_finish(ctx: &mut RunContext, end: &RunEnd, mends_log: bool) -> Result<(), StoreError> {
    let mut bodies = Vec::new();
    if mends_log {
        bodies.extend(ctx.log.take_lost().await?);
    }
    bodies.extend(ctx.pending.iter().cloned());
    let (mut run, at) = (ctx.run.clone(), now());
    let terminal = run.end(end.clone(), at);
    let terminal = terminal.map_err(|error| StoreError::Internal(error.to_string()))?;
    let closed = close_open_interrupts(ctx, at);
    bodies.extend(closed.iter().map(|interrupt| EventBody::InterruptResolved {
        interrupt: Box::new(interrupt.clone()),
    }));
    let message = message(ctx, &run, at);
    if let Some(message) = &message {
        bodies.push(EventBody::MessageCompleted {
            message_id: message.id,
        });
    }
    bodies.push(terminal);
    let events = ctx.log.number(bodies);
    if let Some(last) = events.last() {
        run.last_sequence = last.sequence;
    }
    let rewind = rewind(ctx, &run);
    let finished = FinishedRun {
        who: ctx.who.clone(),
        run: run.clone(),
        node: ctx.services.node,
        message: message.clone(),
        rewind,
        closed: closed.clone(),
        events: events.clone(),
        mends_log,
    };
    ctx.services.store.finish_run(finished).await?;
    ctx.run = run;
    ctx.live.set_outcome(RunOutcome {
        run: ctx.run.clone(),
        message,
        withdrawn: rewind.is_some(),
    });
    ctx.live.publish(&events);
    span::log_end(ctx.live.span(), &ctx.who, &ctx.run);
    let news = ctx.services.bus.news();
    news.announce(&ctx.who, ctx.run.session_id);
    news.announce_interrupts(&ctx.who, &closed);
    Ok(())
}

fn message(ctx: &RunContext, run: &Run, at: Timestamp) -> Option<Message> {
    if run.enqueued || (ctx.message.is_empty() && run.status != RunStatus::Completed) {
        return None;
    }
    Some(Message {
        id: run.output_message_id,
        session_id: run.session_id,
        parent_id: Some(run.input_message_id),
        position: ctx.input_position + 1,
        role: Role::Assistant,
        run_id: run.id,
        parts: ctx.message.parts().to_vec(),
        finish_reason: run.finish_reason,
        created_at: at,
    })
}

/// The state that the session returns to if the run was withdrawn.
fn rewind(ctx: &RunContext, run: &Run) -> Option<Rewind> {
    let withdrawn = run.status == RunStatus::Cancelled && ctx.live.is_withdrawn();
    let before = ctx.rewind.filter(|_| withdrawn && !run.enqueued)?;
    Some(Rewind {
        agent: before.agent.filter(|_| ctx.handoffs > 0),
        ..before
    })
}
