//! The rules of a group commit, one for every database: what is written, in which order,
//! and which members of the group are refused.

mod ends;
mod starts;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::{
    HandOff, Interrupt, Message, MessageId, NodeId, Principal, Run, RunId, Session, SessionId,
    Summary,
};

use super::group::{FinishedRun, Group, GroupOutcome, LogRow};
use super::keys::KeyRow;
use super::rows::LockedSession;
use super::{NewRun, NewSession, Rewind, SessionTarget, StoreError, TurnRequest};

/// A run as it is inserted.
pub(crate) struct StoredRun<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) run: &'a Run,
    pub(crate) before: Rewind,
    pub(crate) node: NodeId,
    pub(crate) lease_expires_at: Timestamp,
}

/// A session's new head, set only if the head is still `previous`.
pub(crate) struct NewHead {
    pub(crate) session: SessionId,
    pub(crate) head: Option<MessageId>,
    pub(crate) branch_length: i32,
    pub(crate) at: Timestamp,
    /// The title it gets if it has none.
    pub(crate) title: Option<String>,
    pub(crate) previous: Option<MessageId>,
    /// How many of its runs have had their turn, if that changes.
    pub(crate) turns: Option<i32>,
}

/// The statements of one transaction. Each takes all rows of the group at once.
#[async_trait]
pub(crate) trait Statements: Send {
    /// Reads sessions that are not deleted and keeps others from changing them until the
    /// transaction ends. `ids` are sorted.
    async fn lock_sessions(&mut self, ids: &[SessionId]) -> Result<Vec<LockedSession>, StoreError>;
    async fn insert_sessions(&mut self, rows: &[(&Principal, &Session)]) -> Result<(), StoreError>;
    /// Writes the keys of these starts, each another one, unless they stand for an earlier
    /// run that has not expired; returns the ids of the runs whose keys were written.
    async fn claim_keys(&mut self, rows: &[&NewRun]) -> Result<HashSet<Uuid>, StoreError>;
    /// What the keys of these starts stand for.
    async fn kept_keys(&mut self, rows: &[&NewRun]) -> Result<Vec<KeyRow>, StoreError>;
    /// Removes the keys that were written for these starts.
    async fn release_keys(&mut self, rows: &[&NewRun]) -> Result<(), StoreError>;
    /// Inserts the runs that are enqueued or whose sessions have no active one, and returns
    /// their ids.
    async fn insert_runs(&mut self, rows: &[StoredRun<'_>]) -> Result<HashSet<Uuid>, StoreError>;
    /// `(session, run)` of the active and enqueued runs of these sessions; of each session the
    /// active one last.
    async fn active_runs(
        &mut self,
        sessions: &[SessionId],
    ) -> Result<Vec<(Uuid, Uuid)>, StoreError>;
    async fn insert_messages(&mut self, rows: &[(&Principal, &Message)]) -> Result<(), StoreError>;
    async fn set_heads(&mut self, rows: &[NewHead]) -> Result<(), StoreError>;
    /// Changes how many runs of a session wait for their turn, and gives it a title if it has
    /// none.
    async fn add_enqueued(
        &mut self,
        session: SessionId,
        more: i32,
        title: Option<&str>,
    ) -> Result<(), StoreError>;
    /// Whether a run never had its turn.
    async fn is_enqueued(&mut self, run: RunId) -> Result<bool, StoreError>;
    /// The run whose turn it is in a session, if no other is active there.
    async fn next_turn(&mut self, session: SessionId) -> Result<Option<Uuid>, StoreError>;
    /// Gives a run its turn and its message its place. False when the run is another node's
    /// by now, or has ended.
    async fn give_turn(
        &mut self,
        turn: &TurnRequest,
        locked: &LockedSession,
    ) -> Result<bool, StoreError>;
    /// Queued runs become running.
    async fn begin_runs(&mut self, rows: &[(RunId, Timestamp)]) -> Result<(), StoreError>;
    /// Running runs of these nodes wait for answers.
    async fn suspend_runs(&mut self, rows: &[(RunId, NodeId)]) -> Result<(), StoreError>;
    /// Another agent goes on with a run, and has its session.
    async fn hand_off(
        &mut self,
        run: RunId,
        handoff: &HandOff,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Keeps a summary, in place of an older one of the same message and of the oldest of its
    /// session.
    async fn keep_summary(
        &mut self,
        who: &Principal,
        summary: &Summary,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    async fn insert_interrupts(
        &mut self,
        rows: &[(&Principal, &Interrupt)],
    ) -> Result<(), StoreError>;
    /// Writes the answers of those that have none.
    async fn close_interrupts(&mut self, rows: &[&Interrupt]) -> Result<(), StoreError>;
    /// Ends the runs that are active and their node's own, and returns their ids.
    async fn end_runs(&mut self, rows: &[&FinishedRun]) -> Result<HashSet<Uuid>, StoreError>;
    /// Inserts the rows that follow what their run's log has, and returns the ids of their
    /// runs. There is one row for a run at most.
    async fn insert_events(&mut self, rows: &[LogRow<'_>]) -> Result<HashSet<Uuid>, StoreError>;
}

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
    outcome.appends = write_events(db, group, &outcome).await?;
    for turn in &group.turns {
        outcome.turns.push(ends::give_turn(db, turn).await?);
    }
    Ok(outcome)
}

/// Runs wait for answers. If the events that announce it are refused, all of it is.
async fn suspend(db: &mut impl Statements, appends: &[super::NewEvents]) -> Result<(), StoreError> {
    let suspended = |new: &super::NewEvents| {
        let run = new.events.first().map(|event| event.run_id);
        run.filter(|_| !new.awaits.is_empty())
            .map(|run| (run, new.node))
    };
    let runs: Vec<_> = appends.iter().filter_map(suspended).collect();
    if runs.is_empty() {
        return Ok(());
    }
    db.suspend_runs(&runs).await?;
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

fn begun(new: &super::NewEvents) -> Option<(RunId, Timestamp)> {
    Some((new.events.first()?.run_id, new.started_at?))
}

/// How many runs are above this one, as it is stored.
pub(crate) fn depth(run: &Run) -> i32 {
    let depth = run.parent.map_or(0, |parent| parent.depth);
    depth.try_into().unwrap_or(i32::MAX)
}

impl NewSession {
    /// The session as it is once made.
    pub(crate) fn into_session(self) -> Session {
        Session {
            id: self.id,
            agent_id: self.agent_id,
            parent_run: self.parent_run,
            title: self.title,
            metadata: self.metadata,
            head: None,
            branch_length: 0,
            active_run: None,
            enqueued_runs: 0,
            turns: 0,
            created_at: self.created_at,
            updated_at: self.created_at,
            deleted_at: None,
        }
    }
}
