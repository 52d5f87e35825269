//! The SQL of PostgreSQL.

use chrono::TimeDelta;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::pooler::has_names;
use crate::StoreError;
use crate::dialect::{Dialect, Fetched, Value};
use crate::log::log_end;
use crate::runs;
use crate::runs::rows::taken_columns;
use talkgraph_domain::NodeId;

/// Any number that nothing else in the database uses.
const AGENTS_LOCK: i64 = 0x7461_6c6b_6167_656e;

impl Dialect for Postgres {
    const FIND: &'static str = "strpos";
    // NO KEY: as an UPDATE locks them, so that rows which merely refer to these need not wait.
    const LOCK_ROWS: &'static str = " FOR NO KEY UPDATE";
    const HAS_TABLE: &'static str = "SELECT NULL IS DISTINCT FROM to_regclass(";
    const PREDECESSOR: &'static [u8] = &[
        0x50, 0xfe, 0x9a, 0x08, 0x4e, 0x24, 0x3e, 0xc2, 0x37, 0x14, 0x0a, 0x07, 0xe6, 0x78, 0x69,
        0x93, 0xc9, 0xd1, 0xb6, 0x0a, 0x06, 0xfd, 0x1a, 0x67, 0x78, 0x23, 0x69, 0x1e, 0x43, 0xd9,
        0x78, 0xea, 0x14, 0xf9, 0xdd, 0xd7, 0x43, 0x54, 0xb0, 0x0e, 0x8a, 0x54, 0xe3, 0xff, 0x32,
        0xe0, 0x12, 0x75,
    ];
    const SKIP_LOCKED: &'static str = " SKIP LOCKED";
    const SHARE_SESSION: &'static str = " FOR SHARE OF s";
    const HAS_RESULT_FILES: &'static str =
        "m.role = 'ASSISTANT' AND strpos(m.parts::text, '\"fileId\":') > 0";
    const LAST_SEQUENCE: &'static str = log_end!("r.id");

    fn bind(query: &mut QueryBuilder<Self>, value: Value<'_>) {
        match value {
            Value::Id(id) => query.push_bind(id),
            Value::MaybeId(id) => query.push_bind(id),
            Value::Bytes(bytes) => query.push_bind(bytes),
            Value::Text(text) => query.push_bind(text),
            Value::MaybeText(text) => query.push_bind(text),
            Value::Number(number) => query.push_bind(number),
            Value::Time(at) => query.push_bind(at),
            // Stable within a statement, so that an index can be used.
            Value::FromNow(after) => query
                .push("statement_timestamp() + ")
                .push_bind(micros(after))
                .push(" * interval '1 microsecond'"),
            Value::Json(json) => query.push_bind(Json(json)),
            Value::JsonText(text) => query.push_bind(text).push("::json"),
        };
    }

    fn bind_in(query: &mut QueryBuilder<Self>, ids: impl Iterator<Item = Uuid>) {
        query.push("= ANY (");
        query.push_bind(ids.collect::<Vec<_>>());
        query.push(")");
    }

    fn lock_agents() -> Option<QueryBuilder<Self>> {
        let mut query = QueryBuilder::new("SELECT pg_advisory_xact_lock(");
        query.push_bind(AGENTS_LOCK).push(")");
        Some(query)
    }

    fn forget_keys(at: TimeDelta, limit: u32) -> QueryBuilder<Self> {
        // Skipped: what another node removes right now, or a start takes over.
        let mut query = QueryBuilder::new(
            "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (
               SELECT ctid FROM idempotency_keys WHERE expires_at <= ",
        );
        Self::bind(&mut query, Value::FromNow(at));
        query.push(" LIMIT ").push_bind(i64::from(limit));
        query.push(" FOR UPDATE SKIP LOCKED))");
        query
    }

    fn set_leases(node: NodeId, until: Value<'_>) -> QueryBuilder<Self> {
        // Rows that the group commit is changing right now are skipped, because two
        // statements that lock several runs could wait for each other. Such a run begins or
        // ends: its lease is young, or no longer needed.
        let mut query = QueryBuilder::new("UPDATE runs SET lease_expires_at = ");
        Self::bind(&mut query, until);
        query.push(" WHERE id = ANY (ARRAY (SELECT id FROM runs WHERE node_id = ");
        query.push_bind(node.uuid());
        query.push(" AND status IN ('QUEUED', 'RUNNING') FOR NO KEY UPDATE SKIP LOCKED))");
        query
    }

    fn take_expired_runs(
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> QueryBuilder<Self> {
        let mut query = QueryBuilder::new("UPDATE runs AS r SET ");
        runs::sql::push_takeover(&mut query, node, lease);
        // ARRAY is read once; a plain IN may be read again for every row, past the limit.
        query.push(
            " WHERE r.id = ANY (ARRAY (SELECT id FROM runs WHERE status IN ('QUEUED', 'RUNNING')
               AND lease_expires_at <= ",
        );
        Self::bind(&mut query, Value::FromNow(at));
        query.push(" AND node_id <> ").push_bind(node.uuid());
        query.push(" ORDER BY lease_expires_at LIMIT ");
        query.push_bind(i64::from(limit));
        query.push(" FOR NO KEY UPDATE SKIP LOCKED)) RETURNING ");
        query.push(taken_columns::<Self>());
        query
    }

    async fn execute(
        connection: &mut PgConnection,
        mut query: QueryBuilder<Self>,
    ) -> Result<u64, StoreError> {
        let query = query.build().persistent(has_names());
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn fetch<R: Fetched>(
        connection: &mut PgConnection,
        mut query: QueryBuilder<Self>,
    ) -> Result<Vec<R>, StoreError> {
        let query = query.build_query_as().persistent(has_names());
        Ok(query.fetch_all(connection).await?)
    }
}

/// Whole microseconds; out of all bounds, none.
pub(super) fn micros(time: TimeDelta) -> i64 {
    time.num_microseconds().unwrap_or_default()
}
