//! The rules of a group commit, one for every database: what is written, in which order,
//! and which members of the group are refused.

mod batch_window;
mod ends;
pub(crate) mod group;
mod starts;
mod statements;
pub(crate) mod writer;

use std::collections::HashMap;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{Interrupt, InterruptKind, RunId, SessionId};

use self::group::{Group, GroupOutcome};
use super::{NewEvents, SessionTarget, StoreError};
use crate::sessions::rows::LockedSession;

pub(crate) use statements::{NewHead, Statements, StoredRun, depth};

/// Writes a whole group within the transaction of `db`.
pub(crate) async fn commit_group(
    db: &mut impl Statements,
    group: &Group,
) -> Result<GroupOutcome, StoreError> {
    let sessions = lock_sessions(db, group).await?;
    let mut outcome = GroupOutcome {
        starts: starts::write(db, &group.starts, &sessions).await?,
        appends: Vec::new(),
        finishes: ends::write(db, &group.finishes).await?,
        turns: Vec::new(),
    };
    let begun: Vec<_> = group.appends.iter().filter_map(begun).collect();
    if !begun.is_empty() {
        db.begin_runs(&begun).await?;
    }
    suspend(db, &group.appends).await?;
    for (run, handoff, at) in group.hand_offs() {
        db.hand_off(run, handoff, at).await?;
    }
    for (who, summary, at) in group.summaries() {
        db.keep_summary(who, summary, at).await?;
    }
    // After the hand-offs, which an end may bring with it.
    ends::give_back(db, &group.finishes, &outcome.finishes).await?;
    outcome.appends = write_events(db, group, &outcome).await?;
    for turn in &group.turns {
        outcome.turns.push(ends::give_turn(db, turn).await?);
    }
    Ok(outcome)
}

/// Runs wait for answers. If the events that announce it are refused, all of it is.
async fn suspend(db: &mut impl Statements, appends: &[NewEvents]) -> Result<(), StoreError> {
    let suspended = |new: &NewEvents| {
        let run = new.events.first().map(|event| event.run_id);
        // A question is asked while the run goes on.
        let waits = |interrupt: &Interrupt| interrupt.kind != InterruptKind::InputRequest;
        run.filter(|_| new.awaits.iter().any(waits))
            .map(|run| (run, new.node))
    };
    let runs: Vec<_> = appends.iter().filter_map(suspended).collect();
    if !runs.is_empty() {
        db.suspend_runs(&runs).await?;
    }
    if appends.iter().all(|new| new.awaits.is_empty()) {
        return Ok(());
    }
    let rows: Vec<_> = appends
        .iter()
        .flat_map(|new| new.awaits.iter().map(|interrupt| (&new.who, interrupt)))
        .collect();
    db.insert_interrupts(&rows).await
}

/// A lone append whose events do not follow the log is refused. Where a run's state changes
/// with its events, the whole transaction is given up instead, so that neither is written.
async fn write_events(
    db: &mut impl Statements,
    group: &Group,
    outcome: &GroupOutcome,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let rows = group.log_rows(outcome);
    if rows.is_empty() {
        return Ok(group.appends.iter().map(|_| Ok(())).collect());
    }
    let written = db.insert_events(&rows).await?;
    if rows
        .iter()
        .any(|row| row.changes_state && !written.contains(&row.run_id.uuid()))
    {
        let why = "the events of a run do not follow its log".to_owned();
        return Err(match group.len() {
            // Read the log, number the events anew and try again.
            1 => StoreError::Unavailable(why),
            // Each member by itself, to find out which it is.
            _ => StoreError::Internal(why),
        });
    }
    Ok(group
        .appends
        .iter()
        .map(|new| match new.events.first() {
            Some(event) if !written.contains(&event.run_id.uuid()) => Err(StoreError::Conflict),
            _ => Ok(()),
        })
        .collect())
}

/// Locked sessions by id.
type Sessions = HashMap<SessionId, LockedSession>;

/// Locks every session that the group may change, those of ending runs too, before anything
/// else and always in one order: two nodes that start and end runs in the same sessions then
/// wait for each other in turn, never in a circle.
async fn lock_sessions(db: &mut impl Statements, group: &Group) -> Result<Sessions, StoreError> {
    let starts = group
        .starts
        .iter()
        .filter_map(|start| match &start.session {
            SessionTarget::Existing(id) => Some(*id),
            SessionTarget::New(_) => None,
        });
    let finishes = group.finishes.iter().map(|finish| finish.run.session_id);
    let turns = group.turns.iter().map(|turn| turn.session);
    let handed = group.hand_offs().map(|(_, handoff, _)| handoff.session_id);
    let mut ids: Vec<_> = starts.chain(finishes).chain(turns).chain(handed).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Sessions::new());
    }
    let rows = db.lock_sessions(&ids).await?;
    Ok(rows.into_iter().map(|row| (row.session.id, row)).collect())
}

fn begun(new: &NewEvents) -> Option<(RunId, Timestamp)> {
    Some((new.events.first()?.run_id, new.started_at?))
}
