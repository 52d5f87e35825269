//! Runs. What changes them goes through the group commit.

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

/// What the ended runs of a session have used together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionUsage {
    /// The session.
    pub session: SessionId,
    /// Tokens.
    pub usage: Usage,
    /// What they cost, if that is known of every run.
    pub cost: Option<Cost>,
}

/// A run whose server is gone, as its new node gets it.
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

    /// The runs of these sessions that wait for their turn, in that order.
    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError>;

    /// The runs that these runs have asked for, oldest first.
    async fn child_runs(&self, who: &Principal, parents: &[RunId]) -> Result<Vec<Run>, StoreError>;

    /// The runs of a session that had their turn after `turn`, in that order, at most `limit`.
    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError>;

    /// What the ended runs of these sessions have used, in no particular order; sessions without
    /// such runs are left out.
    async fn usage_of_sessions(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<SessionUsage>, StoreError>;

    /// Starts a run: the session when it is new, the user's message, the run, its first
    /// events and its key, all or nothing. Where the session is busy, [`NewRun::if_busy`] says
    /// what becomes of it: `ActiveRun` or `QueueFull`, or it is enqueued, without its events.
    /// `NotFound` when the principal has no such session, `Repeated` or `KeyReused` when the
    /// key has started a run that it still stands for.
    async fn start_run(&self, run: NewRun) -> Result<StartedRun, StoreError>;

    /// Gives an enqueued run its turn. `ActiveRun` with the run that is before it, `Conflict`
    /// when it is another node's or has ended.
    async fn take_turn(&self, turn: TurnRequest) -> Result<Turn, StoreError>;

    /// The key as it is kept `at` so long from now, by the database's clock.
    async fn kept_key(
        &self,
        who: &Principal,
        key: &str,
        at: TimeDelta,
    ) -> Result<Option<KeptKey>, StoreError>;

    /// Keeps a key of `run`, unless the key has a run already. Returns the key as it is then.
    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
    ) -> Result<KeptKey, StoreError>;

    /// Removes keys, at most `limit`, that have expired `at` so long from now, by the database's
    /// clock. Returns how many.
    async fn forget_keys(&self, at: TimeDelta, limit: u32) -> Result<u64, StoreError>;

    /// Ends a run: its last events, its answer and its final state, all or nothing.
    /// `Conflict` when it is no longer this node's to end, or when earlier events could not
    /// be written and `mends_log` is not set. `Unavailable` also when the events do not follow
    /// what the log has: read it again and number them anew.
    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError>;

    /// Renews the lease of a node for as long as `lease` from now, by the database's clock: of
    /// all its active runs but those that wait for answers, which belong to no node.
    async fn renew_leases(&self, node: NodeId, lease: TimeDelta) -> Result<(), StoreError>;

    /// Gives all active runs of a node away, except those that wait for answers. The next node
    /// knows that their server has not died of them.
    async fn give_back_runs(&self, node: NodeId) -> Result<(), StoreError>;

    /// Active runs of other nodes, at most `limit`, those that wait for answers left out, whose
    /// lease has expired `at` so long from now, by the database's clock. They are `node`'s own
    /// from here on, for as long as `lease` from now. Each take-over counts, and what the
    /// earlier owner writes afterwards is refused.
    async fn take_expired_runs(
        &self,
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> Result<Vec<TakenRun>, StoreError>;

    /// The runs, at most `limit`, that are this node's and run or wait for their turn.
    async fn runs_of_node(&self, node: NodeId, limit: u32) -> Result<Vec<TakenRun>, StoreError>;

    /// Notes that a run that was held is restarted, `alone_since` this time where it is a
    /// suspect. False when the run is another node's by now.
    async fn release_held(
        &self,
        run: &Run,
        node: NodeId,
        alone_since: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Forgets the unclean ends of a run that has outlived what its earlier servers died of.
    async fn clear_suspicion(&self, run: &Run, node: NodeId) -> Result<(), StoreError>;

    /// Returns true when the node still has the run under this number ([`Run::fence`]).
    async fn has_run(&self, run: RunId, node: NodeId, fence: i64) -> Result<bool, StoreError>;

    /// How the session was before a run, if that is known.
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
        kept.ok_or_else(|| StoreError::Internal("a key that was kept is gone".to_owned()))
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
