//! The admission of a run before its first step: its turn in the session, its slot, its first
//! events.

use std::sync::Arc;

use talkgraph_domain::time::now;
use talkgraph_domain::{Agent, EventBody, StepPurpose};
use talkgraph_store::{StoreError, TurnRequest};

use crate::run::abort::{RunAbort, internal};
use crate::run::context::{Assignment, RunContext};
use crate::run::event_log::{POLL, StateChange};
use crate::run::slot::RunSlot;

/// The number of a run's first model call.
pub(crate) const FIRST_STEP: u32 = 1;

pub(crate) async fn acquire_slot(
    ctx: &RunContext,
    place: Option<RunSlot>,
) -> Result<RunSlot, RunAbort> {
    if let Some(place @ (RunSlot::Running(_) | RunSlot::OfParent)) = place {
        return Ok(place);
    }
    if ctx.run.parent.is_some() {
        return Ok(RunSlot::OfParent);
    }
    // The queue slot is held until an execution slot is free.
    let _queued = place;
    let places = Arc::clone(&ctx.services.slots);
    let place = places.acquire_owned().await;
    place.map(RunSlot::Running).map_err(|_| RunAbort::Cancelled)
}

/// Waits until the run is first in its session's queue and no other run is active there.
pub(crate) async fn wait_for_turn(
    ctx: &mut RunContext,
    task: &mut Assignment,
) -> Result<(), RunAbort> {
    let services = Arc::clone(&ctx.services);
    let session = ctx.run.session_id;
    let mut news = services.bus.news().of_session(session);
    let request = TurnRequest {
        session,
        run: ctx.run.id,
        message: task.input.id,
        node: services.node,
    };
    loop {
        news.mark_unchanged();
        // A start that preempts the active run goes first: it holds the lock until it has started.
        let room = services.session_locks.take(session).await;
        let taken = services.store.take_turn(request.clone()).await;
        drop(room);
        match taken {
            Ok(turn) => {
                ctx.begin_turn(turn);
                (task.input.parent_id, task.input.position) = (turn.parent, turn.position);
                services.bus.news().announce(&ctx.who, session);
                return Ok(());
            }
            Err(StoreError::ActiveRun(_) | StoreError::Unavailable(_)) => {}
            Err(StoreError::Conflict | StoreError::NotFound) => return Err(RunAbort::Lost),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            _ = news.changed() => {}
            // Another process may end the active run.
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Appends the run's first events.
pub(crate) async fn announce(ctx: &mut RunContext, task: &Assignment) -> Result<(), RunAbort> {
    let at = now();
    ctx.run.begin(at).map_err(|error| {
        tracing::error!(%error, "the run cannot begin");
        RunAbort::Failed(internal())
    })?;
    let first = first_events(&task.agent, &ctx.run.model);
    let begins = StateChange::Begins(at);
    ctx.log.append(first, begins).await?;
    Ok(())
}

/// Appends the event that discards the output of a step whose server stopped.
pub(crate) async fn restart(ctx: &mut RunContext, step: u32, started: u64) -> Result<(), RunAbort> {
    ctx.message.restart_step();
    let restarted = EventBody::StepRestarted {
        step,
        discard_after: started,
    };
    ctx.log.append(vec![restarted], StateChange::None).await?;
    Ok(())
}

/// True if the purpose of the first step is unknown when the run starts.
pub(crate) fn begins_later(agent: &Agent) -> bool {
    agent.current.spec.summary.is_some()
}

/// The first events of a run's log.
pub(crate) fn first_events(agent: &Agent, model: &str) -> Vec<EventBody> {
    let step = EventBody::StepStarted {
        step: FIRST_STEP,
        model: model.to_owned(),
        purpose: StepPurpose::Answer,
    };
    let step = (!begins_later(agent)).then_some(step);
    std::iter::once(EventBody::RunStarted).chain(step).collect()
}
