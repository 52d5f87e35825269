//! SQLite: WAL, one connection that writes, a pool of read-only ones.

mod backup;
mod checkpoint;
mod committer;
mod dialect;
mod identity;
mod messages;
mod presence;
mod private;
mod recent;
mod sessions;
mod space;
mod statements;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection, QueryBuilder, Sqlite, Transaction};

use self::checkpoint::{Checkpoints, last_resort_pages};
use self::committer::SqliteCommitter;
pub use backup::{BackupError, backup};
use identity::Identity;
use presence::Presence;
use recent::Recent;
pub use space::compact;

use super::dialect::{Dialect, Fetched, fetch};
use super::pools::Pools;
use super::schema;
use super::{
    BranchRange, Maintenance, SessionCursor, SessionFilter, StoreError, StoreHealth, WriterSettings,
};
use crate::commit::writer::Writer;
use crate::sessions::rows::SessionRow;
use talkgraph_domain::{Message, PageRequest, Principal};

static MIGRATIONS: Migrator = sqlx_macros::migrate!("../../migrations/sqlite");

/// Settings of SQLite.
#[derive(Debug, Clone)]
pub struct SqliteSettings {
    /// The database file; it and its folder are created if they are missing.
    pub path: PathBuf,
    /// True if a missing database is created and missing migrations are applied.
    pub migrate: bool,
    /// The number of connections for reads.
    pub read_connections: u32,
    /// True if every commit waits for the disk (`FULL`), and so survives a power cut. Without it
    /// (`NORMAL`) a power cut may take the last commits, a killed process never.
    pub synchronous_full: bool,
    /// The longest wait of a statement for a lock of another process.
    pub busy_timeout: Duration,
    /// The longest wait of a read for a connection.
    pub acquire_timeout: Duration,
    /// The limit of groups of events that are committed but not yet moved to their runs' logs.
    pub recent: u32,
    /// The length of the write-ahead log, in bytes, from which it is restarted.
    pub wal_bytes: u64,
    /// The largest database, in bytes, that is rewritten as a whole: at start if it cannot
    /// give space back, and after deletions.
    pub rewrite_bytes: u64,
    /// The writer's bounds.
    pub writer: WriterSettings,
}

/// The store on SQLite.
pub struct SqliteStore {
    reads: SqlitePool,
    // One connection: SQLite has one writer at a time, and waiting in a queue of our own is
    // fair where its busy handler is not.
    writes: SqlitePool,
    writer: Writer,
    presence: Presence,
    checkpoints: Checkpoints,
    identity: Arc<Identity>,
    rewrite_bytes: u64,
    /// True when something was deleted since the database was last rewritten.
    is_rewrite_due: AtomicBool,
}

impl SqliteStore {
    /// Opens the database; creates it if it is missing and applies missing migrations if that is
    /// allowed.
    pub async fn open(settings: &SqliteSettings) -> Result<Self, StoreError> {
        if !settings.migrate && !settings.path.is_file() {
            return Err(StoreError::Unavailable(
                "there is no such file, and store.migrate is false: run `talkgraph migrate`"
                    .to_owned(),
            ));
        }
        private::prepare(&settings.path)?;
        let presence = Presence::announce(&settings.path)?;
        let options = SqliteConnectOptions::new()
            .filename(&settings.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if settings.synchronous_full {
                SqliteSynchronous::Full
            } else {
                SqliteSynchronous::Normal
            })
            .foreign_keys(true)
            .busy_timeout(settings.busy_timeout)
            .optimize_on_close(true, None)
            .pragma(
                "wal_autocheckpoint",
                last_resort_pages(settings.wal_bytes).to_string(),
            )
            // The longest size of the log's file once it is restarted.
            .pragma("journal_size_limit", settings.wal_bytes.to_string())
            // Deleted content is overwritten, in free pages as well.
            .pragma("secure_delete", "ON")
            // Otherwise a statement writes the pages for its rollback to a file.
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(256);
        // On this connection alone: to set it takes the lock of those who write.
        let writing = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
        let writes = pool(1, settings).connect_with(writing.clone()).await?;
        let mut connection = writes.acquire().await?;
        schema::prepare::<Sqlite>(&mut connection, &MIGRATIONS, settings.migrate).await?;
        if presence.was_alone {
            recent::sort_everything(&mut connection).await?;
            space::adopt(&mut connection, settings.rewrite_bytes).await?;
        }
        drop(connection);
        let health = Arc::new(StoreHealth::default());
        let identity = Arc::new(Identity::of(&settings.path, Arc::clone(&health))?);
        // A later connection must not create another file at the path of this one.
        let options = options.create_if_missing(false);
        writes.set_connect_options(writing.create_if_missing(false));
        let checkpoints = Checkpoints::begin(options.clone(), settings.wal_bytes).await?;
        let reads = pool(settings.read_connections, settings)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        let recent = Recent::new(settings.recent);
        let signals = checkpoints.signals();
        let committer = SqliteCommitter::new(&writes, recent, signals, Arc::clone(&identity));
        Ok(Self {
            reads,
            writes,
            writer: Writer::spawn(&settings.writer, committer, health),
            identity,
            checkpoints,
            presence,
            rewrite_bytes: settings.rewrite_bytes,
            is_rewrite_due: AtomicBool::new(false),
        })
    }
}

fn pool(connections: u32, settings: &SqliteSettings) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(settings.acquire_timeout)
        // A local file does not disconnect; a check each time would cost a statement for every
        // statement.
        .test_before_acquire(false)
        // SQLite ends a transaction by itself when the disk is full or fails. sqlx's rollback
        // then fails too, and it would count the transaction as open for ever.
        .before_acquire(|connection, _| {
            let is_clean = !connection.is_in_transaction();
            Box::pin(std::future::ready(Ok(is_clean)))
        })
        .idle_timeout(None)
        .max_lifetime(None)
}

impl Pools for SqliteStore {
    type Db = Sqlite;

    async fn read<R: Fetched>(&self, query: QueryBuilder<Sqlite>) -> Result<Vec<R>, StoreError> {
        self.identity.recheck()?;
        fetch(&mut *self.reads.acquire().await?, query).await
    }

    async fn write<R: Fetched>(&self, query: QueryBuilder<Sqlite>) -> Result<Vec<R>, StoreError> {
        self.identity.recheck()?;
        let rows = fetch(&mut *self.writes.acquire().await?, query).await?;
        self.identity.check()?;
        Ok(rows)
    }

    async fn execute(&self, query: QueryBuilder<Sqlite>) -> Result<u64, StoreError> {
        self.identity.recheck()?;
        let count = Sqlite::execute(&mut *self.writes.acquire().await?, query).await?;
        self.identity.check()?;
        Ok(count)
    }

    async fn read_sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.identity.recheck()?;
        sessions::read_page(&self.reads, who, filter, page).await
    }

    async fn read_branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
        most: u64,
    ) -> Result<Vec<Vec<Message>>, StoreError> {
        self.identity.recheck()?;
        messages::read_branches(&self.reads, who, ranges, most).await
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.identity.recheck()?;
        Ok(self.writes.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn in_time<T: Send>(
        &self,
        transaction: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        // A local file does not hang: `busy_timeout` is enough of a limit.
        let done = transaction.await?;
        self.identity.check()?;
        Ok(done)
    }

    fn writer(&self) -> &Writer {
        &self.writer
    }
}

#[async_trait]
impl Maintenance for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.identity.recheck()?;
        sqlx::query("SELECT 1").execute(&self.reads).await?;
        Ok(())
    }

    async fn heartbeat(&self) -> Result<(), StoreError> {
        self.writer.heartbeat().await
    }

    async fn check_tables(&self) -> Result<(), StoreError> {
        // There is one lock, and the heartbeat takes it.
        Ok(())
    }

    fn health(&self) -> Arc<StoreHealth> {
        Arc::clone(self.writer.health())
    }

    async fn clock_ahead(&self) -> Result<Option<TimeDelta>, StoreError> {
        Ok(None)
    }

    fn was_alone(&self) -> bool {
        self.presence.was_alone
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.is_rewrite_due.store(true, Ordering::Relaxed);
        self.checkpoints.signals().deleted();
        Ok(())
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        let mut connection = self.writes.acquire().await?;
        let signals = self.checkpoints.signals();
        if self.is_rewrite_due.load(Ordering::Relaxed)
            && signals.is_idle()
            && space::size(&mut connection).await? <= self.rewrite_bytes
        {
            space::rewrite(&mut connection).await?;
            self.is_rewrite_due.store(false, Ordering::Relaxed);
            signals.deleted();
            return Ok(false);
        }
        Ok(space::give_back(&mut connection).await?)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.checkpoints.close().await;
        self.reads.close().await;
        self.writes.close().await;
    }
}
