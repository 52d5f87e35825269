//! The rules of a group commit for both databases: the order of the writes, and the refusal of
//! members.

mod batch_window;
pub(crate) mod cells;
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
    // After the hand-offs, which an end may contain.
    ends::give_back(db, &group.finishes, &outcome.finishes).await?;
    outcome.appends = write_events(db, group, &outcome).await?;
    for turn in &group.turns {
        outcome.turns.push(ends::give_turn(db, turn).await?);
    }
    Ok(outcome)
}

/// Suspends runs that wait for answers. A refusal of the events that announce this refuses all of
/// it.
async fn suspend(db: &mut impl Statements, appends: &[NewEvents]) -> Result<(), StoreError> {
    let suspended = |new: &NewEvents| {
        let run = new.events.first().map(|event| event.run_id);
        // A run with an open question continues.
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

/// Writes the events of a group. A lone append whose events do not follow the log is refused. Where
/// a run's state changes with its events, the whole transaction is rolled back instead.
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
            // The caller reads the log, renumbers the events and retries.
            1 => StoreError::Unavailable(why),
            // The writer retries each member by itself, to find the faulty one.
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

/// Locks every session that the group may change, those of ending runs included, before all else
/// and always in one order: two nodes that start and end runs in the same sessions then wait for
/// each other in turn, never in a circle.
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
