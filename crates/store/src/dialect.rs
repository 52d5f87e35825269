//! What the two databases do differently, below the statements that both understand.

use chrono::TimeDelta;
use serde_json::Value as JsonValue;
use sqlx::{Database, QueryBuilder};
use uuid::Uuid;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{NodeId, Principal, RunId, SessionId};

use super::StoreError;
use super::keys::KeyRow;
use super::log::LogGroupRow;
use crate::agents::rows::{AgentRow, VersionRow};
use crate::files::rows::FileRow;
use crate::interrupts::rows::InterruptRow;
use crate::memories::rows::MemoryRow;
use crate::messages::rows::{KinRow, MessageRow};
use crate::runs::rows::{RunRow, SessionUsageRow, TakenRow};
use crate::sessions::rows::{LockedSessionRow, SessionRow};
use crate::summaries::rows::SummaryRow;

/// What is bound to a placeholder.
pub(crate) enum Value<'a> {
    Id(Uuid),
    MaybeId(Option<Uuid>),
    Bytes(&'a [u8]),
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Number(i64),
    Time(Timestamp),
    /// So long from the present of the clock that all nodes share: the database's. Negative:
    /// in the past.
    FromNow(TimeDelta),
    Json(&'a JsonValue),
    /// A JSON document that is text already, for a column that keeps it as it is.
    JsonText(&'a str),
}

/// What a database does in its own way.
pub(crate) trait Dialect:
    Database
    + Fetches<AgentRow>
    + Fetches<VersionRow>
    + Fetches<SessionRow>
    + Fetches<LockedSessionRow>
    + Fetches<MessageRow>
    + Fetches<KinRow>
    + Fetches<RunRow>
    + Fetches<TakenRow>
    + Fetches<SessionUsageRow>
    + Fetches<LogGroupRow>
    + Fetches<KeyRow>
    + Fetches<InterruptRow>
    + Fetches<MemoryRow>
    + Fetches<FileRow>
    + Fetches<SummaryRow>
    + Fetches<(bool,)>
    + Fetches<(i64,)>
    + Fetches<(i64, String, i64)>
    + Fetches<(Option<i32>,)>
    + Fetches<(String,)>
    + Fetches<(Uuid,)>
    + Fetches<(Uuid, Uuid)>
    + Fetches<(String, String, String)>
    + Fetches<(Option<Uuid>, Option<i32>, Option<Uuid>)>
{
    /// The function `f(text, part)` that tells where `part` begins in `text`; 0: nowhere.
    const FIND: &'static str;

    /// What ends a SELECT of rows that others shall not change until the transaction ends.
    const LOCK_ROWS: &'static str;

    /// The beginning of a SELECT that tells if there is a table, up to its name.
    const HAS_TABLE: &'static str;

    /// The checksum of the first migration of the builds from before the baseline.
    const PREDECESSOR: &'static [u8];

    /// The end of such a SELECT that leaves out the rows which others have locked.
    const SKIP_LOCKED: &'static str;

    /// The end of a SELECT from `sessions s` that keeps others from deleting them until the
    /// transaction ends.
    const SHARE_SESSION: &'static str;

    /// The condition that a message `m` has files in results of tools, as its index has it.
    const HAS_RESULT_FILES: &'static str;

    /// The last sequence of the log of a run `r`; none or 0 if it is empty.
    const LAST_SEQUENCE: &'static str;

    /// Adds a placeholder with its value.
    fn bind(query: &mut QueryBuilder<Self>, value: Value<'_>);

    /// Adds `IN (…)`, or what the database has for it.
    fn bind_in(query: &mut QueryBuilder<Self>, ids: impl Iterator<Item = Uuid>);

    /// Keeps others from changing agents until the transaction ends; none where a transaction
    /// that writes does so by itself.
    fn lock_agents() -> Option<QueryBuilder<Self>>;

    /// Removes keys, at most `limit`, that have expired `at` so long from now.
    fn forget_keys(at: TimeDelta, limit: u32) -> QueryBuilder<Self>;

    /// The rows of an active run's log that the database keeps elsewhere for now, of the
    /// `limit` events after `after`; none where the log is all there is.
    fn recent_events(
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Option<QueryBuilder<Self>> {
        let _ = (who, run, after, limit);
        None
    }

    /// Removes the events of a session that the database keeps outside of the log; none where
    /// the log is all there is.
    fn purge_recent_events(session: SessionId) -> Option<QueryBuilder<Self>> {
        let _ = session;
        None
    }

    /// Ends the leases of a node's runs at this value.
    fn set_leases(node: NodeId, until: Value<'_>) -> QueryBuilder<Self>;

    /// Makes runs of other nodes, at most `limit`, whose leases have expired `at` so long from
    /// now, the node's own for as long as `lease`, and returns them.
    fn take_expired_runs(
        node: NodeId,
        at: TimeDelta,
        lease: TimeDelta,
        limit: u32,
    ) -> QueryBuilder<Self>;

    /// Runs a statement. Returns how many rows it has changed.
    fn execute(
        connection: &mut Self::Connection,
        query: QueryBuilder<Self>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A database that can make such rows of what a statement returns.
pub(crate) trait Fetches<R>: Database {
    /// Runs a statement. Returns all its rows.
    fn fetch(
        connection: &mut Self::Connection,
        query: QueryBuilder<Self>,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send;
}

/// All rows that a statement returns.
pub(crate) async fn fetch<DB: Fetches<R>, R>(
    connection: &mut DB::Connection,
    query: QueryBuilder<DB>,
) -> Result<Vec<R>, StoreError> {
    DB::fetch(connection, query).await
}

/// The first row that a statement returns, if there is one.
pub(crate) async fn first<DB: Fetches<R>, R>(
    connection: &mut DB::Connection,
    query: QueryBuilder<DB>,
) -> Result<Option<R>, StoreError> {
    Ok(DB::fetch(connection, query).await?.into_iter().next())
}

/// The row of a statement that always returns one.
pub(crate) async fn one<DB: Fetches<R>, R>(
    connection: &mut DB::Connection,
    query: QueryBuilder<DB>,
) -> Result<R, StoreError> {
    let row = first(connection, query).await?;
    row.ok_or_else(|| StoreError::Internal("a statement has returned no row".to_owned()))
}
