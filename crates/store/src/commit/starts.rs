//! Starts of runs: the place of each run's message in its session's tree, and the queue.

use std::collections::HashMap;

use crate::{
    IfBusy, NewRun, Rewind, RunInput, SessionTarget, StartedRun, StoreError, UNPLACED, keys,
};
use talkgraph_domain::{ActiveRun, Message, Role, Session, SessionId};

use super::{NewHead, Sessions, Statements, StoredRun};

type Placed = Result<StartedRun, StoreError>;

pub(super) async fn write(
    db: &mut impl Statements,
    starts: &[NewRun],
    sessions: &Sessions,
) -> Result<Vec<Placed>, StoreError> {
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let mut placed = place_all(starts, sessions);
    keys::claim(db, starts, &mut placed).await?;
    let new_sessions: Vec<_> = accepted(starts, &placed)
        .filter(|(start, _)| matches!(start.session, SessionTarget::New(_)))
        .map(|(start, placed)| (&start.who, &placed.session))
        .collect();
    if !new_sessions.is_empty() {
        db.insert_sessions(&new_sessions).await?;
    }
    insert_runs(db, starts, &mut placed, sessions).await?;
    keys::release(db, starts, &mut placed).await?;

    let messages: Vec<_> = accepted(starts, &placed)
        .filter(|(start, _)| !matches!(start.input, RunInput::Again(_)))
        .map(|(start, placed)| (&start.who, &placed.message))
        .collect();
    if !messages.is_empty() {
        db.insert_messages(&messages).await?;
    }
    let heads: Vec<_> = accepted(starts, &placed)
        .filter(|(start, placed)| {
            matches!(start.session, SessionTarget::Existing(_)) && !placed.run.enqueued
        })
        .filter_map(|(start, placed)| {
            let locked = sessions.get(&placed.session.id)?;
            Some(NewHead {
                session: placed.session.id,
                head: Some(placed.message.id),
                branch_length: placed.session.branch_length,
                at: placed.session.updated_at,
                title: start.title.clone(),
                previous: locked.session.head,
                turns: placed.run.turn,
            })
        })
        .collect();
    if !heads.is_empty() {
        db.set_heads(&heads).await?;
    }
    Ok(placed)
}

fn accepted<'a>(
    starts: &'a [NewRun],
    placed: &'a [Placed],
) -> impl Iterator<Item = (&'a NewRun, &'a StartedRun)> {
    let pairs = starts.iter().zip(placed);
    pairs.filter_map(|(start, placed)| Some((start, placed.as_ref().ok()?)))
}

/// Inserts the runs. Of those whose session is busy, some are enqueued and the others are refused.
async fn insert_runs(
    db: &mut impl Statements,
    starts: &[NewRun],
    placed: &mut [Placed],
    sessions: &Sessions,
) -> Result<(), StoreError> {
    let rows: Vec<_> = accepted(starts, placed)
        .filter(|(start, _)| !stands_behind(start, sessions))
        .map(row)
        .collect();
    let inserted = match rows.is_empty() {
        true => Default::default(),
        false => db.insert_runs(&rows).await?,
    };
    let busy: Vec<usize> = (0..starts.len())
        .filter(|&at| {
            let placed = placed.get(at).and_then(|placed| placed.as_ref().ok());
            placed.is_some_and(|placed| !inserted.contains(&placed.run.id.uuid()))
        })
        .collect();
    if busy.is_empty() {
        return Ok(());
    }
    let waiting = enqueue(starts, placed, &busy, sessions);
    let rows: Vec<_> = accepted(starts, placed)
        .filter(|(_, placed)| placed.run.enqueued)
        .map(row)
        .collect();
    if !rows.is_empty() {
        db.insert_runs(&rows).await?;
        for (session, (more, title)) in waiting {
            db.add_enqueued(session, more, title).await?;
        }
    }
    refuse(db, placed, &busy).await
}

fn row<'a>((start, placed): (&'a NewRun, &'a StartedRun)) -> StoredRun<'a> {
    StoredRun {
        who: &start.who,
        run: &placed.run,
        before: placed.before,
        node: start.node,
        lease: start.lease,
    }
}

/// True if enqueued runs of the session precede this one.
fn stands_behind(start: &NewRun, sessions: &Sessions) -> bool {
    let SessionTarget::Existing(session) = start.session else {
        return false;
    };
    let waiting = sessions
        .get(&session)
        .is_some_and(|locked| locked.session.enqueued_runs > 0);
    waiting && start.if_busy != IfBusy::GoFirst
}

/// Enqueues the runs that may wait, in their order. Returns their number in each session, and the
/// title for a session without one.
fn enqueue<'a>(
    starts: &'a [NewRun],
    placed: &mut [Placed],
    busy: &[usize],
    sessions: &Sessions,
) -> HashMap<SessionId, (i32, Option<&'a str>)> {
    let mut waiting: HashMap<SessionId, (i32, Option<&str>)> = HashMap::new();
    for &at in busy {
        let (Some(start), Some(outcome)) = (starts.get(at), placed.get_mut(at)) else {
            continue;
        };
        let (IfBusy::Wait { limit }, Ok(started)) = (start.if_busy, &mut *outcome) else {
            continue;
        };
        let session = start.session.id();
        let Some(locked) = sessions.get(&session) else {
            continue;
        };
        let (more, title) = waiting.entry(session).or_default();
        if locked.session.enqueued_runs + *more >= limit {
            *outcome = Err(StoreError::QueueFull);
            continue;
        }
        *more += 1;
        *title = title.or(start.title.as_deref());
        started.session = locked.session.clone();
        started.session.enqueued_runs += *more;
        (started.message.parent_id, started.message.position) = (None, UNPLACED);
        started.run.enqueue();
    }
    waiting
}

/// Refuses the runs of busy sessions that are not enqueued.
async fn refuse(
    db: &mut impl Statements,
    placed: &mut [Placed],
    busy: &[usize],
) -> Result<(), StoreError> {
    let refused: Vec<_> = busy
        .iter()
        .filter_map(|&at| match placed.get(at)? {
            Ok(placed) if !placed.run.enqueued => Some((at, placed.session.id)),
            _ => None,
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let sessions: Vec<_> = refused.iter().map(|(_, session)| *session).collect();
    let active: HashMap<_, _> = db.active_runs(&sessions).await?.into_iter().collect();
    for (at, session) in refused {
        if let Some(placed) = placed.get_mut(at) {
            *placed = Err(match active.get(&session.uuid()) {
                Some(run) => StoreError::ActiveRun((*run).into()),
                None => StoreError::Conflict,
            });
        }
    }
    Ok(())
}

/// The place of each run's message in its session's tree.
fn place_all(starts: &[NewRun], sessions: &Sessions) -> Vec<Placed> {
    starts
        .iter()
        .map(|start| match &start.session {
            SessionTarget::New(session) => Ok(place(start, session.clone().into_session(), 1)),
            SessionTarget::Existing(id) => match sessions.get(id) {
                Some(locked)
                    if locked.who.tenant == start.who.tenant
                        && locked.who.owner == start.who.owner =>
                {
                    Ok(place(
                        start,
                        locked.session.clone(),
                        locked.session.turns + 1,
                    ))
                }
                _ => Err(StoreError::NotFound),
            },
        })
        .collect()
}

fn place(start: &NewRun, mut session: Session, turn: i32) -> StartedRun {
    let before = Rewind {
        head: session.head,
        branch_length: session.branch_length,
        agent: Some(session.agent_id),
    };
    let new = |parent_id, position| Message {
        id: start.message_id,
        session_id: session.id,
        parent_id,
        position,
        role: Role::User,
        run_id: start.run.id,
        parts: start.parts.clone(),
        finish_reason: None,
        created_at: start.run.created_at,
    };
    let message = match &start.input {
        RunInput::AfterHead => new(session.head, session.branch_length),
        RunInput::Beside(other) => new(other.parent_id, other.position),
        RunInput::Again(message) => message.clone(),
    };
    session.head = Some(message.id);
    session.branch_length = message.position + 1;
    session.updated_at = start.run.created_at;
    session.turns = turn;
    session.active_run = Some(ActiveRun {
        id: start.run.id,
        last_sequence: start.run.last_sequence,
    });
    if session.title.is_none() {
        session.title.clone_from(&start.title);
    }
    let mut run = start.run.clone();
    run.turn = Some(turn);
    StartedRun {
        session,
        message,
        run,
        before,
    }
}
