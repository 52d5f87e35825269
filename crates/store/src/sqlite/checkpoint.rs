//! Checkpoints: committed pages move from the write-ahead log into the database file. SQLite would
//! do that within a commit, which then waits for the disk with all its members; here it happens
//! concurrently with the commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// The interval of checkpoints while there are commits: long enough that pages that change again
/// and again, such as the ends of indexes, are copied once for many commits; and short enough that
/// there is little to copy, which takes processor time from all else.
const INTERVAL: Duration = Duration::from_millis(100);

/// The size of a page of the database and so, nearly, of the log.
const PAGE_BYTES: u64 = 4_096;

/// The pause after a log could not be restarted, because another connection reads for long: each
/// attempt delays commits.
const RESTART_REST: Duration = Duration::from_secs(5);

/// The pause after the log was cut because of a deletion: where sessions are deleted all the
/// time, commits do not wait for that all the time.
const CUT_REST: Duration = Duration::from_secs(1);

/// The longest wait of a restart, and of commits with it, for readers of the old log.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The time without commits after which the log is cut to nothing: a server at rest has a small
/// one, and the next commits do not begin with the cost of a new file.
const IDLE: Duration = Duration::from_secs(5);

/// The time without commits after which the database may be rewritten: no client streams.
const QUIET: Duration = Duration::from_secs(1);

/// The length from which commits make checkpoints themselves after all, in pages: twice the wanted
/// one. The log stays bounded even if the task is blocked.
pub(super) fn last_resort_pages(wal_bytes: u64) -> u64 {
    2 * pages_of(wal_bytes)
}

/// At least one: 0 would mean never to SQLite.
fn pages_of(wal_bytes: u64) -> u64 {
    (wal_bytes / PAGE_BYTES).max(1)
}

/// Makes checkpoints until dropped.
pub(super) struct Checkpoints {
    connection: SqlitePool,
    signals: Arc<Signals>,
    task: AbortOnDropHandle<()>,
}

/// Requests to the task.
#[derive(Default)]
pub(super) struct Signals {
    /// Something has been committed.
    has_commits: AtomicBool,
    /// Something has been deleted that the log still has.
    has_deletions: AtomicBool,
    /// No commit has arrived for a while.
    is_idle: AtomicBool,
}

impl Signals {
    /// Reports a commit.
    pub(super) fn committed(&self) {
        self.has_commits.store(true, Ordering::Relaxed);
    }

    /// True when nothing has been committed for a while.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }

    /// Requests a log without the rows deleted until now.
    pub(super) fn deleted(&self) {
        self.has_deletions.store(true, Ordering::Relaxed);
    }
}

impl Checkpoints {
    /// Makes checkpoints on a connection of its own. `wal_bytes` is the length of the log from
    /// which it is restarted.
    pub(super) async fn begin(options: SqliteConnectOptions, wal_bytes: u64) -> sqlx::Result<Self> {
        let connection = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.busy_timeout(RESTART_TIMEOUT))
            .await?;
        let signals = Arc::<Signals>::default();
        let keeper = Keeper {
            connection: connection.clone(),
            signals: Arc::clone(&signals),
            restart_pages: pages_of(wal_bytes).cast_signed(),
            restart_from: Instant::now(),
        };
        let task = tokio::spawn(keeper.run());
        Ok(Self {
            connection,
            signals,
            task: AbortOnDropHandle::new(task),
        })
    }

    /// The requests to the task.
    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    pub(super) async fn close(&self) {
        self.task.abort();
        self.connection.close().await;
    }
}

/// The state of the task.
struct Keeper {
    connection: SqlitePool,
    signals: Arc<Signals>,
    restart_pages: i64,
    /// No attempt to restart the log takes place before.
    restart_from: Instant,
}

impl Keeper {
    async fn run(mut self) {
        let (mut last_commit, mut is_cut) = (Instant::now(), false);
        let mut was_failing = false;
        loop {
            sleep(INTERVAL).await;
            let has_commits = self.signals.has_commits.swap(false, Ordering::Relaxed);
            if has_commits {
                (last_commit, is_cut) = (Instant::now(), false);
            }
            let is_quiet = last_commit.elapsed() > QUIET;
            self.signals.is_idle.store(is_quiet, Ordering::Relaxed);
            let is_idle = !is_cut && last_commit.elapsed() > IDLE;
            let has_deletions = self.signals.has_deletions.load(Ordering::Relaxed);
            let outcome = if (has_deletions || is_idle) && self.may_restart() {
                self.cut().await.map(|cut| is_cut |= cut)
            } else if has_commits {
                self.checkpoint().await
            } else {
                Ok(())
            };
            let is_repeated = std::mem::replace(&mut was_failing, outcome.is_err()) && was_failing;
            if let Err(error) = outcome {
                // The next one may succeed; commits are safe in the log. Tried ten times a second,
                // it is logged once.
                if !is_repeated {
                    tracing::warn!(%error, "checkpoint failed");
                }
                self.restart_from = Instant::now() + RESTART_REST;
            }
        }
    }

    fn may_restart(&self) -> bool {
        Instant::now() >= self.restart_from
    }

    /// Copies as much as possible without blocking others, and then restarts a long log, for which
    /// little is left to copy.
    async fn checkpoint(&mut self) -> sqlx::Result<()> {
        let (_, pages, _) = copy(&self.connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
        if pages >= self.restart_pages && self.may_restart() {
            self.restart("PRAGMA wal_checkpoint(RESTART)").await?;
        }
        Ok(())
    }

    /// Truncates the log, and with it rows that are deleted by now. False if another connection
    /// reads it.
    async fn cut(&mut self) -> sqlx::Result<bool> {
        // Before: a concurrent deletion requests another truncation.
        self.signals.has_deletions.store(false, Ordering::Relaxed);
        copy(&self.connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
        let cut = self.restart("PRAGMA wal_checkpoint(TRUNCATE)").await;
        match cut {
            Ok(true) => self.restart_from = Instant::now() + CUT_REST,
            _ => self.signals.deleted(),
        }
        cut
    }

    /// Restarts the log. False if it could not, which is not retried at once.
    async fn restart(&mut self, how: &'static str) -> sqlx::Result<bool> {
        let (is_busy, ..) = copy(&self.connection, how).await?;
        if is_busy != 0 {
            self.restart_from = Instant::now() + RESTART_REST;
        }
        Ok(is_busy == 0)
    }
}

/// True if the checkpoint was blocked, the pages of the log, and the number of copied ones.
async fn copy(connection: &SqlitePool, how: &'static str) -> sqlx::Result<(i64, i64, i64)> {
    sqlx::query_as(how).fetch_one(connection).await
}
