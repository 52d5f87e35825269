//! Statements of the open ends of the logs.

use std::sync::LazyLock;

use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};

use crate::StoreError;
use crate::commit::group::LogRow;
use crate::log::{FOLLOWS_LOG, log_end};
use crate::sql::push_owner;
use talkgraph_domain::{Principal, RunId, SessionId};

/// The last sequence of the log of a run `r`. Of an ended run all of it is sorted.
pub(crate) const LAST_SEQUENCE: &str = concat!(
    "max(coalesce(",
    log_end!("r.id"),
    ", 0), CASE WHEN r.finished_at IS NULL THEN coalesce((SELECT max(n.last_sequence) \
     FROM recent_events n WHERE n.run_id = r.id), 0) ELSE 0 END)"
);

/// The rows with the `limit` events after `after` of a run that is active.
pub(crate) fn events(who: &Principal, run: RunId, after: u64, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT e.first_sequence, e.last_sequence, e.events FROM recent_events e \
         CROSS JOIN runs r ON r.id = e.run_id CROSS JOIN sessions s ON s.id = r.session_id \
         WHERE s.deleted_at IS NULL AND r.finished_at IS NULL AND e.run_id = ",
    );
    query.push_bind(run.uuid());
    push_owner(&mut query, "r.", who);
    let past = after.saturating_add(1).saturating_add(limit.into());
    query.push(" AND e.last_sequence > ");
    query.push_bind(after.cast_signed());
    query.push(" AND e.first_sequence < ");
    query.push_bind(past.cast_signed());
    query.push(" ORDER BY e.first_sequence");
    query
}

/// Removes the rows of a session's runs, none of which is active. The table is small: it is read
/// whole.
pub(crate) fn purge(session: SessionId) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "DELETE FROM recent_events WHERE run_id IN (SELECT id FROM runs WHERE session_id = ",
    );
    query.push_bind(session.uuid()).push(")");
    query
}

/// The limit of rows in one commit.
pub(super) const MOST_ROWS: usize = 128;

/// The number of runs that are sorted at once: few enough that the next commit does not wait for
/// long.
pub(super) const SORTED_AT_ONCE: usize = 8;

/// The end of a log to sort.
pub(super) struct LogEnd<'a> {
    pub(super) run: RunId,
    pub(super) who: &'a Principal,
    pub(super) sequences: (u64, u64),
    pub(super) events: String,
}

/// The statements of [`append`], for 1, 2, 4 … rows. Rows without parameters are none.
static APPENDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let statement = |size: u32| {
        let row = vec!["(?, ?, ?, ?)"; 1 << size].join(", ");
        format!(
            "WITH fence (writer, is_open) AS (SELECT ?, count = ? FROM takeovers), \
             v (run_id, first_sequence, last_sequence, events) AS (VALUES {row}) \
             INSERT INTO recent_events (writer, run_id, first_sequence, last_sequence, events) \
             SELECT (SELECT writer FROM fence), run_id, first_sequence, last_sequence, events \
             FROM v WHERE run_id IS NOT NULL AND (SELECT is_open FROM fence)"
        )
    };
    (0..=MOST_ROWS.ilog2()).map(statement).collect()
});

/// Commits rows in one statement, unless a run has been taken over since. `fence` is the writer and
/// the number of take-overs. Returns the id of the last row; theirs follow each other.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    (writer, takeovers): (i64, i64),
    rows: &[LogRow<'_>],
    encoded: &[String],
) -> Result<Option<i64>, StoreError> {
    let Some(statement) = APPENDS.get(rows.len().next_power_of_two().ilog2() as usize) else {
        return Ok(None);
    };
    let mut query = sqlx::query(statement.as_str()).bind(writer).bind(takeovers);
    for (row, events) in rows.iter().zip(encoded) {
        query = query
            .bind(row.run_id.uuid())
            .bind(row.first_sequence().cast_signed())
            .bind(row.last_sequence().cast_signed())
            .bind(events);
    }
    let done = query.execute(connection).await?;
    Ok((done.rows_affected() > 0).then(|| done.last_insert_rowid()))
}

static SORT: LazyLock<String> = LazyLock::new(|| {
    let row = ["(?, ?, ?, ?, ?, ?)"; SORTED_AT_ONCE].join(", ");
    format!(
        "WITH v (run_id, first_sequence, last_sequence, tenant, owner, events) AS (VALUES {row}) \
         INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, owner, events) \
         SELECT run_id, first_sequence, last_sequence, tenant, owner, events FROM v \
         WHERE run_id IS NOT NULL AND {FOLLOWS_LOG}"
    )
});

/// Writes the ends of logs, at most [`SORTED_AT_ONCE`], to their logs. False if some of them do not
/// follow: another process has sorted them.
pub(super) async fn sort(
    connection: &mut SqliteConnection,
    logs: Vec<LogEnd<'_>>,
) -> Result<bool, StoreError> {
    let (mut query, mut count) = (sqlx::query(SORT.as_str()), 0);
    for log in logs {
        count += 1;
        query = query
            .bind(log.run.uuid())
            .bind(log.sequences.0.cast_signed())
            .bind(log.sequences.1.cast_signed())
            .bind(log.who.tenant.as_ref())
            .bind(log.who.owner.as_ref())
            .bind(log.events);
    }
    Ok(query.execute(connection).await?.rows_affected() == count)
}

/// Removes a process's rows before a row; they are sorted.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    writer: i64,
    before: i64,
) -> Result<(), StoreError> {
    let remove = "DELETE FROM recent_events WHERE id < ? AND writer = ?";
    let query = sqlx::query(remove).bind(before).bind(writer);
    query.execute(connection).await?;
    Ok(())
}

/// Sorts the rows of all processes, all of which have ended.
pub(crate) async fn sort_everything(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sort_all(connection, None).await?;
    Ok(())
}

/// Sorts the rows of a process and returns the number of take-overs by then.
pub(super) async fn sort_all_of(
    connection: &mut SqliteConnection,
    writer: i64,
) -> Result<i64, StoreError> {
    sort_all(connection, Some(writer)).await
}

async fn sort_all(
    connection: &mut SqliteConnection,
    writer: Option<i64>,
) -> Result<i64, StoreError> {
    // Read before the first row is written: a run's rows are all compared with the same end.
    let sort = concat!(
        "INSERT INTO run_events \
          (run_id, first_sequence, last_sequence, tenant, owner, events) \
        SELECT n.run_id, n.first_sequence, n.last_sequence, r.tenant, r.owner, n.events \
        FROM recent_events n CROSS JOIN runs r ON r.id = n.run_id \
        WHERE n.writer = coalesce(?, n.writer) AND n.first_sequence > coalesce(",
        log_end!("n.run_id"),
        ", 0) ORDER BY n.run_id, n.first_sequence"
    );
    let remove = "DELETE FROM recent_events WHERE writer = coalesce(?, writer)";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for statement in [sort, remove] {
        let query = sqlx::query(statement).bind(writer);
        query.execute(&mut *transaction).await?;
    }
    let takeovers = sqlx::query_scalar("SELECT count FROM takeovers")
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(takeovers)
}
