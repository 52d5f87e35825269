//! The differences between the two databases, below the statements that both understand.

use chrono::TimeDelta;
use serde_json::Value as JsonValue;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, FromRow, QueryBuilder};
use uuid::Uuid;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{NodeId, Principal, RunId, SessionId};

use super::StoreError;

/// A value for a placeholder.
pub(crate) enum Value<'a> {
    Id(Uuid),
    MaybeId(Option<Uuid>),
    Bytes(&'a [u8]),
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Number(i64),
    Time(Timestamp),
    /// A time relative to the clock that all nodes share, the database's. Negative: in the past.
    FromNow(TimeDelta),
    Json(&'a JsonValue),
    /// A JSON document as text, for a column that stores it unchanged.
    JsonText(&'a str),
}

/// The SQL of one database.
pub(crate) trait Dialect: Database {
    /// The function `f(text, part)` for the position of `part` in `text`; 0 if there is none.
    const FIND: &'static str;

    /// The end of a SELECT that locks its rows until the transaction ends.
    const LOCK_ROWS: &'static str;

    /// The beginning of a SELECT for the existence of a table, up to its name.
    const HAS_TABLE: &'static str;

    /// The checksum of the first migration of the builds from before the baseline.
    const PREDECESSOR: &'static [u8];

    /// The end of such a SELECT that skips rows locked by others.
    const SKIP_LOCKED: &'static str;

    /// The end of a SELECT from `sessions s` that prevents their deletion until the transaction
    /// ends.
    const SHARE_SESSION: &'static str;

    /// The condition that a message `m` has files in results of tools, equal to that of its index.
    const HAS_RESULT_FILES: &'static str;

    /// The last sequence of the log of a run `r`; none or 0 if it is empty.
    const LAST_SEQUENCE: &'static str;

    /// Adds a placeholder with its value.
    fn bind(query: &mut QueryBuilder<Self>, value: Value<'_>);

    /// Adds `IN (…)` or the database's equivalent.
    fn bind_in(query: &mut QueryBuilder<Self>, ids: impl Iterator<Item = Uuid>);

    /// Excludes other changes of agents until the transaction ends; none where every writing
    /// transaction is exclusive.
    fn lock_agents() -> Option<QueryBuilder<Self>>;

    /// Removes keys, at most `limit`, that have expired at the time `at` from now.
    fn forget_keys(at: TimeDelta, limit: u32) -> QueryBuilder<Self>;

    /// The rows of an active run's log outside of `run_events`, of the `limit` events after
    /// `after`; none for a database without such rows.
    fn recent_events(
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Option<QueryBuilder<Self>> {
        let _ = (who, run, after, limit);
        None
    }

    /// Removes the events of a session outside of `run_events`; none for a database without such
    /// rows.
    fn purge_recent_events(session: SessionId) -> Option<QueryBuilder<Self>> {
        let _ = session;
        None
    }

    /// Sets the end of the leases of a node's runs.
    fn set_leases(node: NodeId, until: Value<'_>) -> QueryBuilder<Self>;

    /// Takes over runs of other nodes, at most `limit`, whose leases have expired at the time `at`
    /// from now, for `lease`, and returns them.
    fn take_expired_runs(
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> QueryBuilder<Self>;

    /// Executes a statement. Returns the number of changed rows.
    fn execute(
        connection: &mut Self::Connection,
        query: QueryBuilder<Self>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Executes a statement and returns all its rows.
    fn fetch<R: Fetched>(
        connection: &mut Self::Connection,
        query: QueryBuilder<Self>,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send;
}

/// A row that can be read from either database.
pub(crate) trait Fetched:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<R> Fetched for R where
    R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

/// All rows that a statement returns.
pub(crate) async fn fetch<DB: Dialect, R: Fetched>(
    connection: &mut DB::Connection,
    query: QueryBuilder<DB>,
) -> Result<Vec<R>, StoreError> {
    DB::fetch(connection, query).await
}

/// The first row that a statement returns, if there is one.
pub(crate) async fn first<DB: Dialect, R: Fetched>(
    connection: &mut DB::Connection,
    query: QueryBuilder<DB>,
) -> Result<Option<R>, StoreError> {
    Ok(DB::fetch(connection, query).await?.into_iter().next())
}

/// The row of a statement that always returns one.
pub(crate) async fn one<DB: Dialect, R: Fetched>(
    connection: &mut DB::Connection,
    query: QueryBuilder<DB>,
) -> Result<R, StoreError> {
    let row = first(connection, query).await?;
    row.ok_or_else(|| StoreError::Internal("a statement returned no row".to_owned()))
}
