//! Runs. All changes go through the group commit.

pub(crate) mod columns;
pub(crate) mod rows;
pub(crate) mod sql;
pub(crate) mod turns;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::dialect::{Dialect, Value};
use super::keys::KeyRow;
use super::pools::Pools;
use super::{
    FinishedRun, KeptKey, NewKey, NewRun, Rewind, StartedRun, StoreError, Turn, TurnRequest,
};
use crate::keys;
use crate::rows::all;
use crate::runs::rows::{RunRow, SessionUsageRow, TakenRow};
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{Cost, NodeId, Principal, Run, RunId, SessionId, Usage};

/// The total usage of a session's ended runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionUsage {
    /// The session.
    pub session: SessionId,
    /// Tokens.
    pub usage: Usage,
    /// The total cost, if it is known for every run.
    pub cost: Option<Cost>,
}

/// A run that a node has taken over.
#[derive(Debug, Clone)]
pub struct TakenRun {
    /// The owner of the run, for work the server does on the owner's behalf.
    pub who: Principal,
    /// The run.
    pub run: Run,
    /// The number of servers in succession that have died while they executed it.
    pub unclean_ends: u32,
    /// True when it does not run until [`RunStore::release_held`].
    pub is_held: bool,
    /// The time since which it ran alone, as a suspect, on the server that has died.
    pub alone_since: Option<Timestamp>,
    /// The previous node.
    pub taken_from: Option<NodeId>,
}

/// Runs. Their state changes only through [`RunStore::start_run`],
/// [`super::EventLog::append_events`] and [`RunStore::finish_run`], which write the events that
/// announce the change in the same transaction.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// The runs with these ids, in no particular order; those of deleted sessions are left out.
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError>;

    /// The enqueued runs of these sessions, in the order of the queue.
    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError>;

    /// The child runs of these runs, oldest first.
    async fn child_runs(&self, who: &Principal, parents: &[RunId]) -> Result<Vec<Run>, StoreError>;

    /// The runs of a session after `turn`, in the order of their turns, at most `limit`.
    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError>;

    /// The usage of these sessions' ended runs, in no particular order; sessions without such runs
    /// are left out.
    async fn usage_of_sessions(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<SessionUsage>, StoreError>;

    /// Starts a run: the session when it is new, the user's message, the run, its first events and
    /// its key, all or nothing. If the session is busy, [`NewRun::if_busy`] decides: `ActiveRun` or
    /// `QueueFull`, or the run is enqueued, without its events. `NotFound` if the principal has no
    /// such session, `Repeated` or `KeyReused` if the key has started a run and has not expired.
    async fn start_run(&self, run: NewRun) -> Result<StartedRun, StoreError>;

    /// Starts an enqueued run. `ActiveRun` with the run that precedes it, `Conflict` if another
    /// node holds it or it has ended.
    async fn take_turn(&self, turn: TurnRequest) -> Result<Turn, StoreError>;

    /// The stored key at the time `at` from now, by the database's clock.
    async fn kept_key(
        &self,
        who: &Principal,
        key: &str,
        at: TimeDelta,
    ) -> Result<Option<KeptKey>, StoreError>;

    /// Stores a key of `run`, unless the key has a run already. Returns the stored key.
    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
    ) -> Result<KeptKey, StoreError>;

    /// Removes keys, at most `limit`, that have expired at the time `at` from now, by the
    /// database's clock. Returns their number.
    async fn forget_keys(&self, at: TimeDelta, limit: u32) -> Result<u64, StoreError>;

    /// Ends a run: its last events, its answer and its final state, all or nothing. `Conflict` if
    /// the node no longer holds it, or if earlier events could not be written and `mends_log` is
    /// not set. `Unavailable` also if the events do not follow the log: read it again and renumber
    /// them.
    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError>;

    /// Renews the lease of a node for as long as `lease` from now, by the database's clock: for all
    /// its active runs except those that wait for answers, which no node holds.
    async fn renew_leases(&self, node: NodeId, lease: TimeDelta) -> Result<(), StoreError>;

    /// Ends the leases of a node's active runs, except those that wait for answers. The next node
    /// does not count this as an unclean end.
    async fn give_back_runs(&self, node: NodeId) -> Result<(), StoreError>;

    /// Takes over active runs of other nodes, at most `limit`, except those that wait for answers,
    /// whose lease has expired at the time `at` from now, by the database's clock. `node` holds
    /// them for `lease` from now. Each take-over raises the fence, and later writes of the previous
    /// holder are refused.
    async fn take_expired_runs(
        &self,
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> Result<Vec<TakenRun>, StoreError>;

    /// The running and enqueued runs of this node, at most `limit`.
    async fn runs_of_node(&self, node: NodeId, limit: u32) -> Result<Vec<TakenRun>, StoreError>;

    /// Records that a held run is restarted, `alone_since` this time if it is a suspect. False if
    /// another node holds it.
    async fn release_held(
        &self,
        run: &Run,
        node: NodeId,
        alone_since: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Resets the unclean ends of a run that has survived.
    async fn clear_suspicion(&self, run: &Run, node: NodeId) -> Result<(), StoreError>;

    /// Returns true if the node still holds the run under this fence ([`Run::fence`]).
    async fn has_run(&self, run: RunId, node: NodeId, fence: i64) -> Result<bool, StoreError>;

    /// The state of the session before a run, if it is known.
    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError>;
}

#[async_trait]
impl<S: Pools> RunStore for S {
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError> {
        all::<RunRow, _>(self.read(sql::runs_by_id(who, ids)).await?)
    }

    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError> {
        all::<RunRow, _>(self.read(sql::enqueued_runs(who, sessions)).await?)
    }

    async fn child_runs(&self, who: &Principal, parents: &[RunId]) -> Result<Vec<Run>, StoreError> {
        all::<RunRow, _>(self.read(sql::child_runs(who, parents)).await?)
    }

    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let query = sql::runs_by_turn(who, session, turn, limit);
        all::<RunRow, _>(self.read(query).await?)
    }

    async fn usage_of_sessions(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<SessionUsage>, StoreError> {
        let query = sql::usage_of_sessions(who, sessions);
        all::<SessionUsageRow, _>(self.read(query).await?)
    }

    async fn start_run(&self, run: NewRun) -> Result<StartedRun, StoreError> {
        self.writer().start(run).await
    }

    async fn take_turn(&self, turn: TurnRequest) -> Result<Turn, StoreError> {
        self.writer().take_turn(turn).await
    }

    async fn kept_key(
        &self,
        who: &Principal,
        key: &str,
        at: TimeDelta,
    ) -> Result<Option<KeptKey>, StoreError> {
        let rows: Vec<KeyRow> = self.read(keys::sql::kept_key(who, key, at)).await?;
        Ok(rows.into_iter().next().map(KeptKey::from))
    }

    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
    ) -> Result<KeptKey, StoreError> {
        self.execute(keys::sql::keep_key(who, key, run)).await?;
        let kept = keys::sql::kept_key(who, &key.key, TimeDelta::zero());
        let rows: Vec<KeyRow> = self.write(kept).await?;
        let kept = rows.into_iter().next().map(KeptKey::from);
        kept.ok_or_else(|| StoreError::Internal("a stored key is missing".to_owned()))
    }

    async fn forget_keys(&self, at: TimeDelta, limit: u32) -> Result<u64, StoreError> {
        self.execute(S::Db::forget_keys(at, limit)).await
    }

    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError> {
        self.writer().finish(run).await
    }

    async fn renew_leases(&self, node: NodeId, lease: TimeDelta) -> Result<(), StoreError> {
        let query = S::Db::set_leases(node, Value::FromNow(lease));
        self.execute(query).await?;
        Ok(())
    }

    async fn give_back_runs(&self, node: NodeId) -> Result<(), StoreError> {
        let query = S::Db::set_leases(node, Value::Time(DateTime::UNIX_EPOCH));
        self.execute(query).await?;
        Ok(())
    }

    async fn take_expired_runs(
        &self,
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> Result<Vec<TakenRun>, StoreError> {
        let query = S::Db::take_expired_runs(node, at, lease, limit);
        all::<TakenRow, _>(self.write(query).await?)
    }

    async fn runs_of_node(&self, node: NodeId, limit: u32) -> Result<Vec<TakenRun>, StoreError> {
        all::<TakenRow, _>(self.read(sql::runs_of_node(node, limit)).await?)
    }

    async fn release_held(
        &self,
        run: &Run,
        node: NodeId,
        alone_since: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let query = sql::release_held(run, node, alone_since);
        Ok(self.execute(query).await? > 0)
    }

    async fn clear_suspicion(&self, run: &Run, node: NodeId) -> Result<(), StoreError> {
        self.execute(sql::clear_suspicion(run, node)).await?;
        Ok(())
    }

    async fn has_run(&self, run: RunId, node: NodeId, fence: i64) -> Result<bool, StoreError> {
        let rows: Vec<(Uuid,)> = self.read(sql::held_by(run, node, fence)).await?;
        Ok(!rows.is_empty())
    }

    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError> {
        type Before = (Option<Uuid>, Option<i32>, Option<Uuid>);
        let rows: Vec<Before> = self.read(sql::branch_before(run)).await?;
        Ok(rows.into_iter().next().and_then(|(head, length, agent)| {
            Some(Rewind {
                head: head.map(Into::into),
                branch_length: length?,
                agent: agent.map(Into::into),
            })
        }))
    }
}
