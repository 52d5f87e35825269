//! The statements of a group commit.

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::Database;
use uuid::Uuid;

use crate::commit::group::{FinishedRun, LogRow};
use crate::dialect::{Dialect, fetch, first};
use crate::keys::KeyRow;
use crate::rows::all;
use crate::sessions::rows::{LockedSession, LockedSessionRow};
use crate::{NewRun, Rewind, StoreError, TurnRequest};
use crate::{keys, runs, sessions, summaries};
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{
    AgentId, HandOff, Interrupt, Message, MessageId, NodeId, Principal, Run, RunId, Session,
    SessionId, Summary,
};

/// A run to insert.
pub(crate) struct StoredRun<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) run: &'a Run,
    pub(crate) before: Rewind,
    pub(crate) node: NodeId,
    pub(crate) lease: TimeDelta,
}

/// A session's new head, set only if the head is still `previous`.
pub(crate) struct NewHead {
    pub(crate) session: SessionId,
    pub(crate) head: Option<MessageId>,
    pub(crate) branch_length: i32,
    pub(crate) at: Timestamp,
    /// The title for a session without one.
    pub(crate) title: Option<String>,
    pub(crate) previous: Option<MessageId>,
    /// The new number of the session's runs that have left the queue, if it changes.
    pub(crate) turns: Option<i32>,
}

/// The statements of one transaction. Each takes all rows of the group at once.
#[async_trait]
pub(crate) trait Statements: Send {
    /// The database.
    type Db: Dialect;

    /// The transaction's connection.
    fn connection(&mut self) -> &mut <Self::Db as Database>::Connection;

    /// Reads sessions that are not deleted and keeps others from changing them until the
    /// transaction ends. `ids` are sorted.
    async fn lock_sessions(&mut self, ids: &[SessionId]) -> Result<Vec<LockedSession>, StoreError> {
        let query = sessions::sql::locked_sessions::<Self::Db>(ids);
        all::<LockedSessionRow, _>(fetch(self.connection(), query).await?)
    }

    async fn insert_sessions(&mut self, rows: &[(&Principal, &Session)]) -> Result<(), StoreError>;
    /// Writes the keys of these starts, all different, unless an earlier run holds a key that has
    /// not expired; returns the ids of the runs whose keys were written.
    async fn claim_keys(&mut self, rows: &[&NewRun]) -> Result<HashSet<Uuid>, StoreError>;
    /// The stored keys of these starts.
    async fn kept_keys(&mut self, rows: &[&NewRun]) -> Result<Vec<KeyRow>, StoreError> {
        let query = keys::sql::kept_keys::<Self::Db>(rows);
        fetch(self.connection(), query).await
    }

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
    ) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
        let query = runs::sql::active_run_ids::<Self::Db>(sessions);
        fetch(self.connection(), query).await
    }

    async fn insert_messages(&mut self, rows: &[(&Principal, &Message)]) -> Result<(), StoreError>;
    async fn set_heads(&mut self, rows: &[NewHead]) -> Result<(), StoreError>;
    /// Changes the number of a session's enqueued runs, and sets the title of a session without
    /// one.
    async fn add_enqueued(
        &mut self,
        session: SessionId,
        more: i32,
        title: Option<&str>,
    ) -> Result<(), StoreError> {
        let query = sessions::sql::add_enqueued(session, more, title);
        Self::Db::execute(self.connection(), query).await?;
        Ok(())
    }

    /// True if a run has never left the queue.
    async fn is_enqueued(&mut self, run: RunId) -> Result<bool, StoreError> {
        let query = runs::turns::is_enqueued::<Self::Db>(run);
        let found: Option<(bool,)> = first(self.connection(), query).await?;
        Ok(found.is_some_and(|(enqueued,)| enqueued))
    }

    /// The first enqueued run of a session without an active run.
    async fn next_turn(&mut self, session: SessionId) -> Result<Option<Uuid>, StoreError> {
        let query = runs::turns::next_turn::<Self::Db>(session);
        let next: Option<(Uuid,)> = first(self.connection(), query).await?;
        Ok(next.map(|(run,)| run))
    }

    /// Starts an enqueued run and places its message. False if another node holds the run, or it
    /// has ended.
    async fn give_turn(
        &mut self,
        turn: &TurnRequest,
        locked: &LockedSession,
    ) -> Result<bool, StoreError> {
        let give = runs::turns::give_turn::<Self::Db>(turn.run, turn.node, locked);
        let given: Option<(Uuid,)> = first(self.connection(), give).await?;
        if given.is_some() {
            let place = runs::turns::place_message(turn, locked);
            Self::Db::execute(self.connection(), place).await?;
        }
        Ok(given.is_some())
    }

    /// Sets queued runs to running.
    async fn begin_runs(&mut self, rows: &[(RunId, Timestamp)]) -> Result<(), StoreError>;
    /// Sets running runs of these nodes to wait for answers.
    async fn suspend_runs(&mut self, rows: &[(RunId, NodeId)]) -> Result<(), StoreError>;
    /// Sets a session's agent.
    async fn set_agent(
        &mut self,
        session: SessionId,
        agent: AgentId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sessions::sql::set_session_agent(session, agent, at);
        Self::Db::execute(self.connection(), query).await?;
        Ok(())
    }

    /// Hands a run and its session to another agent.
    async fn hand_off(
        &mut self,
        run: RunId,
        handoff: &HandOff,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.set_agent(handoff.session_id, handoff.to_agent_id, at)
            .await?;
        let run = runs::sql::hand_off_run(run, handoff);
        Self::Db::execute(self.connection(), run).await?;
        Ok(())
    }

    /// Stores a summary, replacing an older one of the same message and the oldest of its session.
    async fn keep_summary(
        &mut self,
        who: &Principal,
        summary: &Summary,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let keep = summaries::sql::keep_summary(who, summary, at);
        Self::Db::execute(self.connection(), keep).await?;
        let drop = summaries::sql::drop_old_summaries(summary.session_id);
        Self::Db::execute(self.connection(), drop).await?;
        Ok(())
    }

    async fn insert_interrupts(
        &mut self,
        rows: &[(&Principal, &Interrupt)],
    ) -> Result<(), StoreError>;
    /// Resolves the interrupts that have no answer.
    async fn close_interrupts(&mut self, rows: &[&Interrupt]) -> Result<(), StoreError>;
    /// Ends the active runs that their nodes hold, and returns their ids.
    async fn end_runs(&mut self, rows: &[&FinishedRun]) -> Result<HashSet<Uuid>, StoreError>;
    /// Inserts the rows that follow their runs' logs, and returns the ids of their runs. There is
    /// one row for a run at most.
    async fn insert_events(&mut self, rows: &[LogRow<'_>]) -> Result<HashSet<Uuid>, StoreError>;
}

/// The number of runs above this one, as stored.
pub(crate) fn depth(run: &Run) -> i32 {
    let depth = run.parent.map_or(0, |parent| parent.depth);
    depth.try_into().unwrap_or(i32::MAX)
}
