//! The SQL of SQLite.

use chrono::TimeDelta;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::StoreError;
use crate::dialect::{Dialect, Fetched, Value};
use crate::rows::Stamp;
use crate::runs;
use crate::runs::rows::taken_columns;
use talkgraph_domain::time::now;
use talkgraph_domain::{NodeId, Principal, RunId, SessionId};

use super::recent;

impl Dialect for Sqlite {
    const FIND: &'static str = "instr";
    // A writing transaction has exclusive access to the database.
    const LOCK_ROWS: &'static str = "";
    const HAS_TABLE: &'static str =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ";
    const PREDECESSOR: &'static [u8] = &[
        0x4d, 0x23, 0xc6, 0x01, 0x91, 0x35, 0x16, 0x08, 0xb7, 0x9b, 0xb0, 0x29, 0x1f, 0x5a, 0xf5,
        0xe7, 0x2d, 0x76, 0x78, 0xcb, 0xf8, 0x99, 0x88, 0x0d, 0x33, 0x82, 0x8d, 0xa2, 0x79, 0x80,
        0x37, 0x04, 0xa8, 0xe8, 0x85, 0xac, 0x56, 0x5d, 0xa6, 0x98, 0x5a, 0x97, 0x10, 0x70, 0x44,
        0xc5, 0x6d, 0x33,
    ];
    const SKIP_LOCKED: &'static str = "";
    const SHARE_SESSION: &'static str = "";
    const HAS_RESULT_FILES: &'static str =
        "m.role = 'ASSISTANT' AND instr(m.parts, '\"fileId\":') > 0";
    const LAST_SEQUENCE: &'static str = recent::LAST_SEQUENCE;

    fn bind(query: &mut QueryBuilder<Self>, value: Value<'_>) {
        match value {
            Value::Id(id) => query.push_bind(id),
            Value::MaybeId(id) => query.push_bind(id),
            Value::Bytes(bytes) => query.push_bind(bytes),
            Value::Text(text) => query.push_bind(text),
            Value::MaybeText(text) => query.push_bind(text),
            Value::Number(number) => query.push_bind(number),
            Value::Time(at) => query.push_bind(Stamp(at)),
            // All processes that use the file are on this machine.
            Value::FromNow(after) => query.push_bind(Stamp(now() + after)),
            Value::Json(json) => query.push_bind(Json(json)),
            Value::JsonText(text) => query.push_bind(text),
        };
    }

    fn bind_in(query: &mut QueryBuilder<Self>, ids: impl Iterator<Item = Uuid>) {
        query.push("IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id);
        }
        query.push(")");
    }

    fn lock_agents() -> Option<QueryBuilder<Self>> {
        None
    }

    fn forget_keys(at: TimeDelta, limit: u32) -> QueryBuilder<Self> {
        let mut query = QueryBuilder::new(
            "DELETE FROM idempotency_keys WHERE rowid IN (
               SELECT rowid FROM idempotency_keys WHERE expires_at <= ",
        );
        query.push_bind(Stamp(now() + at));
        query.push(" LIMIT ").push_bind(limit).push(")");
        query
    }

    fn recent_events(
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Option<QueryBuilder<Self>> {
        Some(recent::events(who, run, after, limit))
    }

    fn purge_recent_events(session: SessionId) -> Option<QueryBuilder<Self>> {
        Some(recent::purge(session))
    }

    fn set_leases(node: NodeId, until: Value<'_>) -> QueryBuilder<Self> {
        let mut query = QueryBuilder::new("UPDATE runs SET lease_expires_at = ");
        Self::bind(&mut query, until);
        query.push(" WHERE node_id = ").push_bind(node.uuid());
        query.push(" AND status IN ('QUEUED', 'RUNNING')");
        query
    }

    fn take_expired_runs(
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> QueryBuilder<Self> {
        let mut query = QueryBuilder::new("UPDATE runs SET ");
        runs::sql::push_takeover(&mut query, node, lease);
        query.push(
            " WHERE id IN (SELECT id FROM runs WHERE status IN ('QUEUED', 'RUNNING')
               AND lease_expires_at <= ",
        );
        // In order, so that those that are taken already do not hide the others.
        query.push_bind(Stamp(now() + at));
        query.push(" AND node_id <> ").push_bind(node.uuid());
        query.push(" ORDER BY lease_expires_at LIMIT ");
        query.push_bind(limit).push(") RETURNING ");
        // RETURNING knows no alias in SQLite.
        query.push(taken_columns::<Self>().replace("r.", "runs."));
        query
    }

    async fn execute(
        connection: &mut SqliteConnection,
        mut query: QueryBuilder<Self>,
    ) -> Result<u64, StoreError> {
        Ok(query.build().execute(connection).await?.rows_affected())
    }

    async fn fetch<R: Fetched>(
        connection: &mut SqliteConnection,
        mut query: QueryBuilder<Self>,
    ) -> Result<Vec<R>, StoreError> {
        Ok(query.build_query_as().fetch_all(connection).await?)
    }
}
