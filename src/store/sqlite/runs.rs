//! Runs and their event logs. What changes them goes through the group commit.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::{NodeId, Principal, Run, RunEvent, RunId, SessionId};
use crate::store::compact::Log;
use crate::store::keys::KeyRow;
use crate::store::log_rows::{LogGroupRow, decode_events};
use crate::store::rows::{RUN_COLUMNS, RunRow, Stamp, all};
use crate::store::{
    EventLog, FinishedRun, KeptKey, NewEvents, NewKey, NewRun, Reply, Rewind, RunStore, StartedRun,
    StoreError, Turn, TurnRequest, queries,
};

use super::SqliteStore;

#[async_trait]
impl RunStore for SqliteStore {
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError> {
        let mut query = queries::runs_by_id::<Sqlite>(who, ids);
        all::<RunRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError> {
        let mut query = queries::enqueued_runs::<Sqlite>(who, sessions);
        all::<RunRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let mut query = queries::runs_by_turn::<Sqlite>(who, session, turn, limit);
        all::<RunRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
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
        let mut query = queries::kept_key::<Sqlite>(who, key, now);
        let row: Option<KeyRow> = query.build_query_as().fetch_optional(&self.reads).await?;
        Ok(row.map(KeptKey::from))
    }

    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
        now: Timestamp,
    ) -> Result<KeptKey, StoreError> {
        let mut keep = queries::keep_key::<Sqlite>(who, key, run, now);
        keep.build().execute(&self.writes).await?;
        let mut query = queries::kept_key::<Sqlite>(who, &key.key, now);
        let row: KeyRow = query.build_query_as().fetch_one(&self.writes).await?;
        Ok(row.into())
    }

    async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let removed = sqlx::query(
            "DELETE FROM idempotency_keys WHERE rowid IN (
               SELECT rowid FROM idempotency_keys WHERE expires_at <= $1 LIMIT $2)",
        )
        .bind(Stamp(now))
        .bind(limit)
        .execute(&self.writes)
        .await?;
        Ok(removed.rows_affected())
    }

    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError> {
        self.writer.finish(run).await
    }

    async fn renew_leases(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE runs SET lease_expires_at = $1
             WHERE node_id = $2 AND status IN ('QUEUED', 'RUNNING')",
        )
        .bind(Stamp(until))
        .bind(node.uuid())
        .execute(&self.writes)
        .await?;
        Ok(())
    }

    async fn take_expired_runs(
        &self,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        let mut query = QueryBuilder::new("UPDATE runs AS r SET node_id = ");
        query.push_bind(node.uuid());
        query.push(", lease_expires_at = ").push_bind(Stamp(until));
        query.push(
            " WHERE r.id IN (SELECT id FROM runs WHERE status IN ('QUEUED', 'RUNNING')
               AND lease_expires_at <= ",
        );
        // In order, so that those that are taken already do not hide the others.
        query.push_bind(Stamp(now));
        query.push(" ORDER BY lease_expires_at LIMIT ");
        query.push_bind(limit).push(") RETURNING ");
        // RETURNING knows no alias in SQLite.
        query.push(
            RUN_COLUMNS
                .replace("r.id ORDER", "runs.id ORDER")
                .replace("r.", ""),
        );
        let rows: Vec<RunRow> = query.build_query_as().fetch_all(&self.writes).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), Run::try_from(row)?)))
            .collect()
    }

    async fn runs_of_node(
        &self,
        node: NodeId,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        let mut query = queries::runs_of_node::<Sqlite>(node, limit);
        let rows: Vec<RunRow> = query.build_query_as().fetch_all(&self.reads).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), Run::try_from(row)?)))
            .collect()
    }

    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError> {
        let mut query = queries::branch_before::<Sqlite>(run);
        let row: Option<(Option<Uuid>, Option<i32>)> =
            query.build_query_as().fetch_optional(&self.reads).await?;
        Ok(row.and_then(|(head, length)| {
            Some(Rewind {
                head: head.map(Into::into),
                branch_length: length?,
            })
        }))
    }
}

#[async_trait]
impl EventLog for SqliteStore {
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
        let mut query = queries::events::<Sqlite>(who, run, after, limit);
        let rows: Vec<LogGroupRow> = query.build_query_as().fetch_all(&self.reads).await?;
        decode_events(run, rows, after)
    }
    async fn runs_to_compact(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        let mut query = queries::runs_to_compact::<Sqlite>(before, limit);
        let rows: Vec<RunRow> = query.build_query_as().fetch_all(&self.reads).await?;
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
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        Log::<Sqlite>(&mut transaction)
            .compact(who, run, kept, at)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}
