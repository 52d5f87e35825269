//! The way of a run to its first step: its turn in the session, its slot, its first events.

use std::sync::Arc;

use talkgraph_domain::time::now;
use talkgraph_domain::{Agent, EventBody, StepPurpose};
use talkgraph_store::{StoreError, TurnRequest};

use crate::run::abort::{RunAbort, internal};
use crate::run::context::{Assignment, RunContext};
use crate::run::event_log::{Change, POLL};
use crate::run::slot::RunSlot;

/// The first model call of a run.
pub(crate) const FIRST_STEP: u32 = 1;

pub(crate) async fn take_place(
    ctx: &RunContext,
    place: Option<RunSlot>,
) -> Result<RunSlot, RunAbort> {
    if let Some(place @ (RunSlot::Running(_) | RunSlot::OfParent)) = place {
        return Ok(place);
    }
    if ctx.run.parent.is_some() {
        return Ok(RunSlot::OfParent);
    }
    // Kept until there is a place among those that are made.
    let _queued = place;
    let places = Arc::clone(&ctx.services.slots);
    let place = places.acquire_owned().await;
    place.map(RunSlot::Running).map_err(|_| RunAbort::Cancelled)
}

/// Waits until the run is the first of those that wait in its session, and no other is
/// active there.
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
        // One that stops the active run goes first: it has the room until it has started.
        let room = services.session_locks.take(session).await;
        let taken = services.store.take_turn(request.clone()).await;
        drop(room);
        match taken {
            Ok(turn) => {
                ctx.placed(turn);
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
            // Another process may have ended the run before this one.
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Says that the run begins.
pub(crate) async fn announce(ctx: &mut RunContext, task: &Assignment) -> Result<(), RunAbort> {
    let at = now();
    ctx.run.begin(at).map_err(|error| {
        tracing::error!(%error, "the run cannot begin");
        RunAbort::Failed(internal())
    })?;
    let first = first_events(&task.agent, &ctx.run.model);
    let begins = Change::Begins(at);
    ctx.log.append(first, begins).await?;
    Ok(())
}

/// Says that what the step had written before its server died is gone.
pub(crate) async fn restart(ctx: &mut RunContext, step: u32, started: u64) -> Result<(), RunAbort> {
    ctx.answer.restart_step();
    let restarted = EventBody::StepRestarted {
        step,
        discard_after: started,
    };
    ctx.log.append(vec![restarted], Change::None).await?;
    Ok(())
}

/// Whether it is not known when a run starts what its first step is for.
pub(crate) fn begins_later(agent: &Agent) -> bool {
    agent.current.spec.summary.is_some()
}

/// What every run's log begins with.
pub(crate) fn first_events(agent: &Agent, model: &str) -> Vec<EventBody> {
    let step = EventBody::StepStarted {
        step: FIRST_STEP,
        model: model.to_owned(),
        purpose: StepPurpose::Answer,
    };
    let step = (!begins_later(agent)).then_some(step);
    std::iter::once(EventBody::RunStarted).chain(step).collect()
}
