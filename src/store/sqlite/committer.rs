//! The group commit: one transaction on the connection that writes, or a single statement where
//! that is enough.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use sqlx::error::ErrorKind;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool};

use crate::store::StoreError;
use crate::store::commit::commit_group;
use crate::store::group::{Group, GroupOutcome};
use crate::store::log::{FOLLOWS_LOG, encode_events};
use crate::store::writer::Committer;

use super::statements::{MOST_ROWS, SqliteStatements};

pub(super) struct SqliteCommitter {
    pool: SqlitePool,
    /// Is told of commits.
    has_commits: Arc<AtomicBool>,
}

impl SqliteCommitter {
    pub(super) fn new(pool: &SqlitePool, has_commits: Arc<AtomicBool>) -> Self {
        Self {
            pool: pool.clone(),
            has_commits,
        }
    }
}

#[async_trait]
impl Committer for SqliteCommitter {
    async fn commit(&mut self, group: &Group) -> Result<GroupOutcome, StoreError> {
        let mut connection: PoolConnection<Sqlite> = self.pool.acquire().await?;
        self.has_commits.store(true, Ordering::Relaxed);
        if group.only_appends() && append_all(&mut connection, group).await? {
            return Ok(group.all_appended());
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let outcome = commit_group(&mut SqliteStatements(&mut transaction), group).await?;
        transaction.commit().await?;
        Ok(outcome)
    }
}

/// Writes a group of events in one statement, which is a transaction by itself: one turn of the
/// connection's thread instead of three for what most groups are. All or nothing: false if
/// some of the events do not follow their log, or if there are too many rows.
async fn append_all(connection: &mut SqliteConnection, group: &Group) -> Result<bool, StoreError> {
    let rows = group.log_rows(&GroupOutcome::default());
    let Some(statement) = APPENDS.get(rows.len().next_power_of_two().ilog2() as usize) else {
        return Ok(false);
    };
    let mut query = sqlx::query(statement.as_str());
    for row in &rows {
        query = query
            .bind(row.run_id.uuid())
            .bind(row.first_sequence().cast_signed())
            .bind(row.last_sequence().cast_signed())
            .bind(row.who.tenant.as_ref())
            .bind(row.who.owner.as_ref())
            .bind(encode_events(&row.events)?)
            .bind(row.node.uuid());
    }
    match query.execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.kind() == ErrorKind::NotNullViolation => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The statements of [`append_all`], for 1, 2, 4 … rows. Rows without parameters are none, and
/// one that does not follow its log has no place in the table, which refuses the statement.
static APPENDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let statement = |size: u32| {
        let row = vec!["(?, ?, ?, ?, ?, ?, ?)"; 1 << size].join(", ");
        format!(
            "WITH v (run_id, first_sequence, last_sequence, tenant, owner, events, node_id) AS \
             (VALUES {row}) \
             INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, owner, events) \
             SELECT run_id, CASE WHEN {FOLLOWS_LOG} THEN first_sequence END, last_sequence, \
             tenant, owner, events FROM v WHERE run_id IS NOT NULL"
        )
    };
    (0..=MOST_ROWS.ilog2()).map(statement).collect()
});
