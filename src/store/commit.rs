//! The rules of a group commit, one for every database: what is written, in which order,
//! and which members of the group are refused.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::{Message, MessageId, NodeId, Principal, Role, Run, RunId, Session, SessionId};

use super::group::{FinishedRun, Group, GroupOutcome, LogRow};
use super::keys::{self, KeyRow};
use super::{NewRun, NewSession, Rewind, RunInput, SessionTarget, StartedRun, StoreError};

/// A run as it is inserted.
pub(crate) struct StoredRun<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) run: &'a Run,
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
}

/// The statements of one transaction. Each takes all rows of the group at once.
#[async_trait]
pub(crate) trait Statements: Send {
    /// Reads sessions that are not deleted, with their principals, and keeps others from
    /// changing them until the transaction ends. `ids` are sorted.
    async fn lock_sessions(
        &mut self,
        ids: &[SessionId],
    ) -> Result<Vec<(Principal, Session)>, StoreError>;
    async fn insert_sessions(&mut self, rows: &[(&Principal, &Session)]) -> Result<(), StoreError>;
    /// Writes the keys of these starts, each another one, unless they stand for an earlier
    /// run that has not expired; returns the ids of the runs whose keys were written.
    async fn claim_keys(&mut self, rows: &[&NewRun]) -> Result<HashSet<Uuid>, StoreError>;
    /// What the keys of these starts stand for.
    async fn kept_keys(&mut self, rows: &[&NewRun]) -> Result<Vec<KeyRow>, StoreError>;
    /// Removes the keys that were written for these starts.
    async fn release_keys(&mut self, rows: &[&NewRun]) -> Result<(), StoreError>;
    /// Inserts the runs whose sessions have no active one and returns their ids.
    async fn insert_runs(&mut self, rows: &[StoredRun<'_>]) -> Result<HashSet<Uuid>, StoreError>;
    /// `(session, run)` of the active runs of these sessions.
    async fn active_runs(
        &mut self,
        sessions: &[SessionId],
    ) -> Result<Vec<(Uuid, Uuid)>, StoreError>;
    async fn insert_messages(&mut self, rows: &[(&Principal, &Message)]) -> Result<(), StoreError>;
    async fn set_heads(&mut self, rows: &[NewHead]) -> Result<(), StoreError>;
    /// Queued runs become running.
    async fn begin_runs(&mut self, rows: &[(RunId, Timestamp)]) -> Result<(), StoreError>;
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
        starts: write_starts(db, &group.starts, &sessions).await?,
        appends: Vec::new(),
        finishes: write_finishes(db, &group.finishes).await?,
    };
    let begun: Vec<_> = group.appends.iter().filter_map(begun).collect();
    if !begun.is_empty() {
        db.begin_runs(&begun).await?;
    }
    outcome.appends = write_events(db, group, &outcome).await?;
    Ok(outcome)
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

/// Sessions by id, with the principals they belong to.
type Sessions = HashMap<SessionId, (Principal, Session)>;

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
    let mut ids: Vec<_> = starts.chain(finishes).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Sessions::new());
    }
    let rows = db.lock_sessions(&ids).await?;
    Ok(rows.into_iter().map(|row| (row.1.id, row)).collect())
}

fn begun(new: &super::NewEvents) -> Option<(RunId, Timestamp)> {
    Some((new.events.first()?.run_id, new.started_at?))
}

async fn write_starts(
    db: &mut impl Statements,
    starts: &[NewRun],
    sessions: &Sessions,
) -> Result<Vec<Result<StartedRun, StoreError>>, StoreError> {
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let mut placed = place_all(starts, sessions);
    keys::claim(db, starts, &mut placed).await?;
    let new_sessions: Vec<_> = starts
        .iter()
        .zip(&placed)
        .filter(|(start, _)| matches!(start.session, SessionTarget::New(_)))
        .filter_map(|(start, placed)| Some((&start.who, &placed.as_ref().ok()?.session)))
        .collect();
    if !new_sessions.is_empty() {
        db.insert_sessions(&new_sessions).await?;
    }
    insert_runs(db, starts, &mut placed).await?;
    keys::release(db, starts, &mut placed).await?;

    let accepted: Vec<_> = starts
        .iter()
        .zip(&placed)
        .filter_map(|(start, placed)| Some((start, placed.as_ref().ok()?)))
        .collect();
    let messages: Vec<_> = accepted
        .iter()
        .filter(|(start, _)| !matches!(start.input, RunInput::Again(_)))
        .map(|(start, placed)| (&start.who, &placed.message))
        .collect();
    if !messages.is_empty() {
        db.insert_messages(&messages).await?;
    }
    let heads: Vec<_> = accepted
        .iter()
        .filter(|(start, _)| matches!(start.session, SessionTarget::Existing(_)))
        .filter_map(|(start, placed)| {
            let (_, locked) = sessions.get(&placed.session.id)?;
            Some(NewHead {
                session: placed.session.id,
                head: Some(placed.message.id),
                branch_length: placed.session.branch_length,
                at: placed.session.updated_at,
                title: start.title.clone(),
                previous: locked.head,
            })
        })
        .collect();
    if !heads.is_empty() {
        db.set_heads(&heads).await?;
    }
    Ok(placed)
}

/// Inserts the runs and refuses the starts whose session has an active run already.
async fn insert_runs(
    db: &mut impl Statements,
    starts: &[NewRun],
    placed: &mut [Result<StartedRun, StoreError>],
) -> Result<(), StoreError> {
    let rows: Vec<_> = starts
        .iter()
        .zip(placed.iter())
        .filter_map(|(start, placed)| {
            Some(StoredRun {
                who: &start.who,
                run: &placed.as_ref().ok()?.run,
                node: start.node,
                lease_expires_at: start.lease_expires_at,
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let wanted = rows.len();
    let inserted = db.insert_runs(&rows).await?;
    if inserted.len() == wanted {
        return Ok(());
    }
    let refused: Vec<_> = placed
        .iter_mut()
        .filter(|placed| {
            placed
                .as_ref()
                .is_ok_and(|p| !inserted.contains(&p.run.id.uuid()))
        })
        .collect();
    let sessions: Vec<_> = refused
        .iter()
        .filter_map(|placed| Some(placed.as_ref().ok()?.session.id))
        .collect();
    let active: HashMap<_, _> = db.active_runs(&sessions).await?.into_iter().collect();
    for (placed, session) in refused.into_iter().zip(sessions) {
        *placed = Err(match active.get(&session.uuid()) {
            Some(run) => StoreError::ActiveRun((*run).into()),
            None => StoreError::Conflict,
        });
    }
    Ok(())
}

/// Where each run's message is in its session's tree.
fn place_all(starts: &[NewRun], sessions: &Sessions) -> Vec<Result<StartedRun, StoreError>> {
    starts
        .iter()
        .map(|start| match &start.session {
            SessionTarget::New(session) => Ok(place(start, session.clone().into_session())),
            SessionTarget::Existing(id) => match sessions.get(id) {
                Some((owner, session))
                    if owner.tenant == start.who.tenant && owner.owner == start.who.owner =>
                {
                    Ok(place(start, session.clone()))
                }
                _ => Err(StoreError::NotFound),
            },
        })
        .collect()
}

fn place(start: &NewRun, mut session: Session) -> StartedRun {
    let before = Rewind {
        head: session.head,
        branch_length: session.branch_length,
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
    if session.title.is_none() {
        session.title.clone_from(&start.title);
    }
    StartedRun {
        session,
        message,
        run: start.run.clone(),
        before,
    }
}

async fn write_finishes(
    db: &mut impl Statements,
    finishes: &[FinishedRun],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    if finishes.is_empty() {
        return Ok(Vec::new());
    }
    // A run that two of them end is ended by the first.
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

/// An answer becomes the head of the branch whose head it answers.
fn answer_head(message: &Message) -> NewHead {
    NewHead {
        session: message.session_id,
        head: Some(message.id),
        branch_length: message.position + 1,
        at: message.created_at,
        title: None,
        previous: message.parent_id,
    }
}

/// A branch whose head a run answers goes back to before it.
fn rewound_head(run: &Run, rewind: Rewind) -> NewHead {
    NewHead {
        session: run.session_id,
        head: rewind.head,
        branch_length: rewind.branch_length,
        at: run.finished_at.unwrap_or(run.created_at),
        title: None,
        previous: Some(run.input_message_id),
    }
}

impl NewSession {
    /// The session as it is once made.
    pub(crate) fn into_session(self) -> Session {
        Session {
            id: self.id,
            agent_id: self.agent_id,
            title: self.title,
            metadata: self.metadata,
            head: None,
            branch_length: 0,
            created_at: self.created_at,
            updated_at: self.created_at,
        }
    }
}
