//! Runs. What changes them goes through the group commit.

use async_trait::async_trait;
use uuid::Uuid;

use super::dialect::Dialect;
use super::keys::KeyRow;
use super::pools::Pools;
use super::rows::{RunRow, SessionUsageRow, all, owned};
use super::{
    FinishedRun, KeptKey, NewKey, NewRun, Rewind, StartedRun, StoreError, Turn, TurnRequest,
    queries,
};
use crate::domain::time::Timestamp;
use crate::domain::{Cost, NodeId, Principal, Run, RunId, SessionId, Usage};

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

    /// What a key stands for at `now`.
    async fn kept_key(
        &self,
        who: &Principal,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<KeptKey>, StoreError>;

    /// Keeps a key that stands for `run`, unless it stands for something at `now`. Returns what
    /// it stands for then.
    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
        now: Timestamp,
    ) -> Result<KeptKey, StoreError>;

    /// Removes keys, at most `limit`, that have expired by `now`. Returns how many.
    async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Ends a run: its last events, its answer and its final state, all or nothing.
    /// `Conflict` when it is no longer this node's to end, or when earlier events could not
    /// be written and `mends_log` is not set. `Unavailable` also when the events do not follow
    /// what the log has: read it again and number them anew.
    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError>;

    /// Says that `node` is alive until `until`, for all its active runs but those that wait for
    /// answers, which nobody makes. A time that has passed gives them away.
    async fn renew_leases(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError>;

    /// Active runs, at most `limit`, those that wait for answers left out, whose node has not
    /// renewed its lease by `now`, with their principals. They are made `node`'s own with a lease
    /// until `until`.
    async fn take_expired_runs(
        &self,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError>;

    /// The running runs, at most `limit`, that are this node's, with their principals.
    async fn runs_of_node(
        &self,
        node: NodeId,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError>;

    /// How the session was before a run, if that is known.
    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError>;
}

#[async_trait]
impl<S: Pools> RunStore for S {
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError> {
        all::<RunRow, _>(self.read(queries::runs_by_id(who, ids)).await?)
    }

    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError> {
        all::<RunRow, _>(self.read(queries::enqueued_runs(who, sessions)).await?)
    }

    async fn child_runs(&self, who: &Principal, parents: &[RunId]) -> Result<Vec<Run>, StoreError> {
        all::<RunRow, _>(self.read(queries::child_runs(who, parents)).await?)
    }

    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let query = queries::runs_by_turn(who, session, turn, limit);
        all::<RunRow, _>(self.read(query).await?)
    }

    async fn usage_of_sessions(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<SessionUsage>, StoreError> {
        let query = queries::usage_of_sessions(who, sessions);
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
        now: Timestamp,
    ) -> Result<Option<KeptKey>, StoreError> {
        let rows: Vec<KeyRow> = self.read(queries::kept_key(who, key, now)).await?;
        Ok(rows.into_iter().next().map(KeptKey::from))
    }

    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
        now: Timestamp,
    ) -> Result<KeptKey, StoreError> {
        self.execute(queries::keep_key(who, key, run, now)).await?;
        let rows: Vec<KeyRow> = self.write(queries::kept_key(who, &key.key, now)).await?;
        let kept = rows.into_iter().next().map(KeptKey::from);
        kept.ok_or_else(|| StoreError::Internal("a key that was kept is gone".to_owned()))
    }

    async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.execute(S::Db::forget_keys(now, limit)).await
    }

    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError> {
        self.writer().finish(run).await
    }

    async fn renew_leases(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        self.execute(S::Db::renew_leases(node, until)).await?;
        Ok(())
    }

    async fn take_expired_runs(
        &self,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        let query = S::Db::take_expired_runs(node, now, until, limit);
        owned::<RunRow, _>(self.write(query).await?)
    }

    async fn runs_of_node(
        &self,
        node: NodeId,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        owned::<RunRow, _>(self.read(queries::runs_of_node(node, limit)).await?)
    }

    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError> {
        type Before = (Option<Uuid>, Option<i32>, Option<Uuid>);
        let rows: Vec<Before> = self.read(queries::branch_before(run)).await?;
        Ok(rows.into_iter().next().and_then(|(head, length, agent)| {
            Some(Rewind {
                head: head.map(Into::into),
                branch_length: length?,
                agent: agent.map(Into::into),
            })
        }))
    }
}
