//! Ends of runs, and starts of the enqueued runs that follow.

use std::collections::HashSet;

use crate::{FinishedRun, Rewind, StoreError, Turn, TurnRequest};
use talkgraph_domain::time::now;
use talkgraph_domain::{Message, Run};

use super::{NewHead, Statements};

pub(super) async fn write(
    db: &mut impl Statements,
    finishes: &[FinishedRun],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    if finishes.is_empty() {
        return Ok(Vec::new());
    }
    // Of two ends of one run the first counts.
    let mut seen = HashSet::new();
    let first: Vec<_> = finishes
        .iter()
        .map(|finish| seen.insert(finish.run.id))
        .collect();
    let wanted: Vec<_> = finishes
        .iter()
        .zip(&first)
        .filter_map(|(finish, first)| first.then_some(finish))
        .collect();
    let ended = db.end_runs(&wanted).await?;
    let accepted: Vec<_> = wanted
        .iter()
        .filter(|finish| ended.contains(&finish.run.id.uuid()))
        .collect();
    let closed: Vec<_> = accepted.iter().flat_map(|end| &end.closed).collect();
    if !closed.is_empty() {
        db.close_interrupts(&closed).await?;
    }
    let messages: Vec<_> = accepted
        .iter()
        .filter_map(|finish| Some((&finish.who, finish.message.as_ref()?)))
        .collect();
    if !messages.is_empty() {
        db.insert_messages(&messages).await?;
    }
    let heads: Vec<_> = accepted
        .iter()
        .filter_map(|finish| match finish.rewind {
            Some(rewind) => Some(rewound_head(&finish.run, rewind)),
            None => finish.message.as_ref().map(answer_head),
        })
        .collect();
    if !heads.is_empty() {
        db.set_heads(&heads).await?;
    }
    for finish in accepted.iter().filter(|finish| finish.run.enqueued) {
        // Its node may have requested its start and not have waited for the answer.
        if db.is_enqueued(finish.run.id).await? {
            db.add_enqueued(finish.run.session_id, -1, None).await?;
        }
    }
    Ok(finishes
        .iter()
        .zip(first)
        .map(|(finish, first)| {
            if first && ended.contains(&finish.run.id.uuid()) {
                Ok(())
            } else {
                Err(StoreError::Conflict)
            }
        })
        .collect())
}

/// Restores the agents of sessions that rolled-back runs have handed to others.
pub(super) async fn give_back(
    db: &mut impl Statements,
    finishes: &[FinishedRun],
    ended: &[Result<(), StoreError>],
) -> Result<(), StoreError> {
    for (finish, _) in finishes.iter().zip(ended).filter(|(_, end)| end.is_ok()) {
        if let Some(agent) = finish.rewind.and_then(|rewind| rewind.agent) {
            let run = &finish.run;
            let at = run.finished_at.unwrap_or(run.created_at);
            db.set_agent(run.session_id, agent, at).await?;
        }
    }
    Ok(())
}

/// The head after an answer to the head of a branch.
fn answer_head(message: &Message) -> NewHead {
    NewHead {
        session: message.session_id,
        head: Some(message.id),
        branch_length: message.position + 1,
        at: message.created_at,
        title: None,
        previous: message.parent_id,
        turns: None,
    }
}

/// The head before a run that answers the head of a branch.
fn rewound_head(run: &Run, rewind: Rewind) -> NewHead {
    NewHead {
        session: run.session_id,
        head: rewind.head,
        branch_length: rewind.branch_length,
        at: run.finished_at.unwrap_or(run.created_at),
        title: None,
        previous: Some(run.input_message_id),
        turns: None,
    }
}

/// Starts an enqueued run if it is the first and no other run of the session is active.
pub(super) async fn give_turn(
    db: &mut impl Statements,
    turn: &TurnRequest,
) -> Result<Result<Turn, StoreError>, StoreError> {
    // Read again: earlier members of the group may have changed it.
    let Some(locked) = db.lock_sessions(&[turn.session]).await?.pop() else {
        return Ok(Err(StoreError::NotFound));
    };
    if db.next_turn(turn.session).await? != Some(turn.run.uuid()) {
        let busy = db.active_runs(&[turn.session]).await?;
        let ahead = busy
            .last()
            .map(|(_, run)| StoreError::ActiveRun((*run).into()));
        return Ok(Err(ahead.unwrap_or(StoreError::Conflict)));
    }
    if !db.give_turn(turn, &locked).await? {
        return Ok(Err(StoreError::Conflict));
    }
    let (parent, position) = (locked.session.head, locked.session.branch_length);
    db.set_heads(&[NewHead {
        session: turn.session,
        head: Some(turn.message),
        branch_length: position + 1,
        at: now(),
        title: None,
        previous: parent,
        turns: Some(locked.session.turns + 1),
    }])
    .await?;
    db.add_enqueued(turn.session, -1, None).await?;
    Ok(Ok(Turn {
        parent,
        position,
        agent: locked.session.agent_id,
    }))
}
