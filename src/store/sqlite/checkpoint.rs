//! Checkpoints: what is committed moves from the write-ahead log into the database file.
//! SQLite would do that within a commit, which then waits for the disk, and everybody who
//! waits for the commit with it; here it happens beside the commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often the log is looked at while there are commits: seldom enough that pages that change
/// again and again, such as the ends of indexes, are copied once for many commits; and often
/// enough that there is little to copy, which takes the processor from everything else.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long the log may be, in pages of 4 KiB (256 MiB), before it is begun anew, for which
/// commits have to wait until the disk has what is in the log. Without that it would grow for as
/// long as commits never pause; a pause begins it anew by itself.
const RESTART_PAGES: i64 = 65_536;

/// How long it is let be when that did not succeed, because somebody reads for long: each
/// attempt holds commits up.
const RESTART_REST: Duration = Duration::from_secs(5);

/// How long beginning anew may wait for those who read the old log, and commits with it.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The length from which commits make checkpoints themselves after all, in pages: whatever
/// keeps the task from it, the log stays bounded.
pub(super) const LAST_RESORT_PAGES: &str = "131072";

/// Makes checkpoints until dropped.
pub(super) struct Checkpoints {
    connection: SqlitePool,
    has_commits: Arc<AtomicBool>,
    task: AbortOnDropHandle<()>,
}

impl Checkpoints {
    pub(super) async fn begin(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        let connection = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.busy_timeout(RESTART_TIMEOUT))
            .await?;
        let has_commits = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(connection.clone(), Arc::clone(&has_commits)));
        Ok(Self {
            connection,
            has_commits,
            task: AbortOnDropHandle::new(task),
        })
    }

    /// What those who commit say with it that they did.
    pub(super) fn has_commits(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_commits)
    }

    pub(super) async fn close(&self) {
        self.task.abort();
        self.connection.close().await;
    }
}

async fn run(connection: SqlitePool, has_commits: Arc<AtomicBool>) {
    let mut restart_from = Instant::now();
    let mut is_failing = false;
    loop {
        sleep(INTERVAL).await;
        if !has_commits.swap(false, Ordering::Relaxed) {
            continue;
        }
        let made = checkpoint(&connection, restart_from).await;
        let was_failing = std::mem::replace(&mut is_failing, made.is_err());
        match made {
            Ok(true) => {}
            Ok(false) => restart_from = Instant::now() + RESTART_REST,
            // The next one may succeed; what is committed is safe in the log. Tried ten times a
            // second, it is said once.
            Err(_) if was_failing => {}
            Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        }
    }
}

/// Copies what it can without keeping anybody waiting, and then begins a long log anew, for
/// which next to nothing is left to be copied; false if it could not.
async fn checkpoint(connection: &SqlitePool, restart_from: Instant) -> sqlx::Result<bool> {
    let (_, pages, _) = copy(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    if pages < RESTART_PAGES || Instant::now() < restart_from {
        return Ok(true);
    }
    let (is_busy, ..) = copy(connection, "PRAGMA wal_checkpoint(RESTART)").await?;
    Ok(is_busy == 0)
}

/// Whether it was kept from something, the pages of the log, and how many of them are copied.
async fn copy(connection: &SqlitePool, how: &'static str) -> sqlx::Result<(i64, i64, i64)> {
    sqlx::query_as(how).fetch_one(connection).await
}
