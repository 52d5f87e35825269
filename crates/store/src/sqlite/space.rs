//! Space that deletions leave in the database file: it is returned to the file system a few pages
//! at a time, and a small database is rewritten as a whole while it is idle.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions};
use sqlx::{Connection, SqliteConnection};

use crate::StoreError;

use super::presence::Presence;

/// SQLite's number for `INCREMENTAL`.
const INCREMENTAL: i64 = 2;

/// The free pages that are kept for new rows, 4 MiB: without them a file that is always in use
/// would be cut and grown all the time.
const KEPT_PAGES: i64 = 1_024;

/// The part of the pages that may be free as well, as a divisor.
const KEPT_PART: i64 = 8;

/// The pages that one step returns. Each moves a page from the end of the file, and commits wait
/// for a step.
const STEP: &str = "PRAGMA incremental_vacuum(64)";

/// Returns some pages. False if there are none, or the database does not support it.
pub(super) async fn give_back(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let free = number(connection, "PRAGMA freelist_count").await?;
    if free <= KEPT_PAGES || !is_incremental(connection).await? {
        return Ok(false);
    }
    let pages = number(connection, "PRAGMA page_count").await?;
    if free <= pages / KEPT_PART {
        return Ok(false);
    }
    sqlx::query(STEP).execute(connection).await?;
    Ok(true)
}

/// Rewrites a database that an earlier release created so that it returns space, if it has
/// `most_bytes` at most; logs the remedy otherwise. No other process uses it.
pub(super) async fn adopt(connection: &mut SqliteConnection, most_bytes: u64) -> sqlx::Result<()> {
    if is_incremental(connection).await? {
        return Ok(());
    }
    let bytes = size(connection).await?;
    if bytes <= most_bytes {
        return rewrite(connection).await;
    }
    tracing::info!(
        bytes,
        "database of an earlier release returns no space: stop the server \
         and run `talkgraph compact` once"
    );
    Ok(())
}

/// Rewrites the database as a whole. It has no free pages then, no traces of deleted rows, and
/// returns space.
pub(super) async fn rewrite(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("VACUUM").execute(connection).await?;
    Ok(())
}

/// The size of the database, in bytes, without its log.
pub(super) async fn size(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let pages = number(connection, "PRAGMA page_count").await?;
    let page = number(connection, "PRAGMA page_size").await?;
    Ok(u64::try_from(pages.saturating_mul(page)).unwrap_or(0))
}

/// Rewrites the database at `path` as a whole, while no server uses it. Returns its size before and
/// after, in bytes.
///
/// # Errors `Unavailable` if there is no such file, or another process uses it.
pub async fn compact(path: &Path, busy_timeout: Duration) -> Result<(u64, u64), StoreError> {
    if !path.is_file() {
        let why = format!("there is no database at {}", path.display());
        return Err(StoreError::Unavailable(why));
    }
    let presence = Presence::announce(path)?;
    if !presence.was_alone {
        let why = "another process uses it: stop the server first".to_owned();
        return Err(StoreError::Unavailable(why));
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .busy_timeout(busy_timeout);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let before = size(&mut connection).await?;
    rewrite(&mut connection).await?;
    let cut = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
    cut.execute(&mut connection).await?;
    let after = size(&mut connection).await?;
    connection.close().await?;
    drop(presence);
    Ok((before, after))
}

async fn is_incremental(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    Ok(number(connection, "PRAGMA auto_vacuum").await? == INCREMENTAL)
}

async fn number(connection: &mut SqliteConnection, pragma: &'static str) -> sqlx::Result<i64> {
    sqlx::query_scalar(pragma).fetch_one(connection).await
}
