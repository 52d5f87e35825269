//! Runs and their event logs. What changes them goes through the group commit.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::{NodeId, Principal, Run, RunEvent, RunId, SessionId};
use crate::store::compact::Log;
use crate::store::keys::KeyRow;
use crate::store::log_rows::{LogGroupRow, decode_events};
use crate::store::rows::{RUN_COLUMNS, RunRow, all};
use crate::store::{
    EventLog, FinishedRun, KeptKey, NewEvents, NewKey, NewRun, Reply, Rewind, RunStore, StartedRun,
    StoreError, Turn, TurnRequest, queries,
};

use super::PostgresStore;

#[async_trait]
impl RunStore for PostgresStore {
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError> {
        let mut query = queries::runs_by_id::<Postgres>(who, ids);
        all::<RunRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError> {
        let mut query = queries::enqueued_runs::<Postgres>(who, sessions);
        all::<RunRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let mut query = queries::runs_by_turn::<Postgres>(who, session, turn, limit);
        all::<RunRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn take_turn(&self, turn: TurnRequest) -> Result<Turn, StoreError> {
        self.writer.take_turn(turn).await
    }

    async fn start_run(&self, run: NewRun) -> Result<StartedRun, StoreError> {
        self.writer.start(run).await
    }

    async fn kept_key(
        &self,
        who: &Principal,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<KeptKey>, StoreError> {
        let mut query = queries::kept_key::<Postgres>(who, key, now);
        let row: Option<KeyRow> = self
            .patience
            .wait(query.build_query_as().fetch_optional(&self.pool))
            .await?;
        Ok(row.map(KeptKey::from))
    }

    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
        now: Timestamp,
    ) -> Result<KeptKey, StoreError> {
        let mut keep = queries::keep_key::<Postgres>(who, key, run, now);
        self.patience.wait(keep.build().execute(&self.pool)).await?;
        let mut query = queries::kept_key::<Postgres>(who, &key.key, now);
        let row: KeyRow = self
            .patience
            .wait(query.build_query_as().fetch_one(&self.pool))
            .await?;
        Ok(row.into())
    }

    async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        // Skipped: what another node removes right now, or a start takes over.
        let removed = sqlx::query(
            "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (
               SELECT ctid FROM idempotency_keys WHERE expires_at <= $1
               LIMIT $2 FOR UPDATE SKIP LOCKED))",
        )
        .bind(now)
        .bind(i64::from(limit))
        .execute(&self.pool);
        let removed = self.patience.wait(removed).await?;
        Ok(removed.rows_affected())
    }

    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError> {
        self.writer.finish(run).await
    }

    async fn renew_leases(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        // Rows that the group commit is changing right now are skipped, because two
        // statements that lock several runs could wait for each other. Such a run begins or
        // ends: its lease is young, or no longer needed.
        let renewed = sqlx::query(
            "UPDATE runs SET lease_expires_at = $1 WHERE id = ANY (ARRAY (
               SELECT id FROM runs WHERE node_id = $2 AND status IN ('QUEUED', 'RUNNING')
               FOR NO KEY UPDATE SKIP LOCKED))",
        )
        .bind(until)
        .bind(node.uuid())
        .execute(&self.pool);
        self.patience.wait(renewed).await?;
        Ok(())
    }

    async fn take_expired_runs(
        &self,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        // ARRAY is read once; a plain IN may be read again for every row, past the limit.
        let mut query = QueryBuilder::<Postgres>::new(
            "UPDATE runs AS r SET node_id = $1, lease_expires_at = $2 WHERE r.id = ANY (ARRAY (
               SELECT id FROM runs WHERE status IN ('QUEUED', 'RUNNING') AND lease_expires_at <= $3
               ORDER BY lease_expires_at LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED)) RETURNING ",
        );
        query.push(RUN_COLUMNS);
        let taken = sqlx::query_as(query.into_sql())
            .bind(node.uuid())
            .bind(until)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(&self.pool);
        let rows: Vec<RunRow> = self.patience.wait(taken).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), Run::try_from(row)?)))
            .collect()
    }

    async fn runs_of_node(
        &self,
        node: NodeId,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        let mut query = queries::runs_of_node::<Postgres>(node, limit);
        let rows = query.build_query_as().fetch_all(&self.pool);
        let rows: Vec<RunRow> = self.patience.wait(rows).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), Run::try_from(row)?)))
            .collect()
    }

    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError> {
        let mut query = queries::branch_before::<Postgres>(run);
        let row: Option<(Option<Uuid>, Option<i32>)> = self
            .patience
            .wait(query.build_query_as().fetch_optional(&self.pool))
            .await?;
        Ok(row.and_then(|(head, length)| {
            Some(Rewind {
                head: head.map(Into::into),
                branch_length: length?,
            })
        }))
    }
}

#[async_trait]
impl EventLog for PostgresStore {
    async fn append_events(&self, events: NewEvents, done: Reply<()>) -> Result<(), StoreError> {
        self.writer.append(events, done).await
    }

    async fn events(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RunEvent>, StoreError> {
        let mut query = queries::events::<Postgres>(who, run, after, limit);
        let rows: Vec<LogGroupRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        decode_events(run, rows, after)
    }
    async fn runs_to_compact(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        let mut query = queries::runs_to_compact::<Postgres>(before, limit);
        let rows: Vec<RunRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), Run::try_from(row)?)))
            .collect()
    }

    async fn compact_log(
        &self,
        who: &Principal,
        run: RunId,
        kept: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let compacted = async {
            let mut transaction = self.pool.begin().await?;
            Log::<Postgres>(&mut transaction)
                .compact(who, run, kept, at)
                .await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        };
        self.patience.wait(compacted).await
    }
}
