//! Runs and their event logs. What changes them goes through the group commit.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::{NodeId, Principal, Run, RunEvent, RunId, SessionId};
use crate::store::rows::{RUN_COLUMNS, RunRow, Stamp, all, decode_events};
use crate::store::{
    EventLog, FinishedRun, NewEvents, NewRun, Reply, RunStore, StartedRun, StoreError,
};

use super::{SqliteStore, push_ids, push_owner};

fn select_runs(who: &Principal) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(RUN_COLUMNS);
    query.push(" FROM runs r JOIN sessions s ON s.id = r.session_id WHERE s.deleted_at IS NULL");
    push_owner(&mut query, "r.", who);
    query
}

#[async_trait]
impl RunStore for SqliteStore {
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError> {
        let mut query = select_runs(who);
        query.push(" AND r.id IN ");
        push_ids(&mut query, ids.iter().map(RunId::uuid));
        all::<RunRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn active_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError> {
        let mut query = select_runs(who);
        query.push(" AND r.status IN ('QUEUED', 'RUNNING') AND r.session_id IN ");
        push_ids(&mut query, sessions.iter().map(SessionId::uuid));
        all::<RunRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn start_run(&self, run: NewRun) -> Result<StartedRun, StoreError> {
        self.writer.start(run).await
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
        query.push_bind(Stamp(now)).push(" LIMIT ");
        query.push_bind(limit).push(") RETURNING ");
        // RETURNING knows no alias in SQLite.
        query.push(
            RUN_COLUMNS
                .replace("r.id) AS", "runs.id) AS")
                .replace("r.", ""),
        );
        let rows: Vec<RunRow> = query.build_query_as().fetch_all(&self.writes).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), Run::try_from(row)?)))
            .collect()
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
        // A group holds one event at least, so `limit` groups hold `limit` events at least.
        let mut query = QueryBuilder::new(
            "SELECT first_sequence, events FROM run_events WHERE last_sequence > ",
        );
        query.push_bind(after.cast_signed()).push(" AND run_id = ");
        query.push_bind(run.uuid());
        push_owner(&mut query, "", who);
        query
            .push(" ORDER BY first_sequence LIMIT ")
            .push_bind(limit);
        let rows: Vec<(i64, String)> = query.build_query_as().fetch_all(&self.reads).await?;
        let mut events = Vec::new();
        for (first, group) in rows {
            events.extend(decode_events(run, first, &group)?);
            if events.len() >= limit as usize {
                break;
            }
        }
        events.retain(|event| event.sequence > after);
        Ok(events)
    }
}

/// The active run of each of these sessions.
pub(super) async fn active_run_ids(
    connection: &mut sqlx::SqliteConnection,
    sessions: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let mut query = QueryBuilder::new(
        "SELECT session_id, id FROM runs WHERE status IN ('QUEUED', 'RUNNING') AND session_id IN ",
    );
    push_ids(&mut query, sessions);
    Ok(query.build_query_as().fetch_all(connection).await?)
}
