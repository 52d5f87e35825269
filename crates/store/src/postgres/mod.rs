//! PostgreSQL, 13 or newer: a pool for single statements and one connection for the group
//! commit. Several nodes may share a database.

mod arrays;
mod committer;
mod dialect;
mod messages;
mod parameters;
mod patience;
mod pooler;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres, QueryBuilder, Transaction};

use committer::PostgresCommitter;
use patience::Patience;
pub use pooler::Pooler;
use pooler::{Way, has_names};

use super::dialect::{Dialect, Fetched, fetch};
use super::pools::Pools;
use super::{
    BranchRange, Maintenance, SessionCursor, SessionFilter, StoreError, StoreHealth,
    WriterSettings, schema,
};
use crate::commit::writer::Writer;
use crate::messages::rows::by_branch;
use crate::sessions;
use crate::sessions::rows::SessionRow;
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{Message, PageRequest, Principal};

/// The longest delay of a reading of the database's clock: half of it is the error.
const LONGEST_WAY: TimeDelta = TimeDelta::milliseconds(500);

static MIGRATIONS: Migrator = sqlx_macros::migrate!("../../migrations/postgres");

/// The idle time after which a connection is checked before use. Short, so that connections broken
/// by an outage are found before they fail a caller.
const TRUSTED_IDLE_TIME: Duration = Duration::from_millis(250);

/// Removes the prepared statements of a session.
const NO_STATEMENTS: &str = "DEALLOCATE ALL";

/// The locks that a group takes at most, of all tables that runs are written to. They do not
/// keep other writers out, nor wait for long; a group would, with all that wait for it.
const LOCKS: [&str; 2] = [
    "SET LOCAL lock_timeout = '1s'",
    "LOCK TABLE sessions, messages, runs, run_events, idempotency_keys IN ROW EXCLUSIVE MODE",
];

/// Settings of PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database?sslmode=…`
    pub url: SecretString,
    /// True if missing migrations are applied. Without any, the role only needs to read and write
    /// rows.
    pub migrate: bool,
    /// The limit of this node's connections: one is the writer's, the others serve all other calls.
    /// Fewer than 2 are taken as 2.
    pub connections: u32,
    /// The time limit for connecting when the store is opened, and for the writer at any time.
    pub connect_timeout: Duration,
    /// The longest wait of a call for a connection.
    pub acquire_timeout: Duration,
    /// The time limit of one statement.
    pub statement_timeout: Duration,
    /// The pooler in front of the server, if any.
    pub pooler: Pooler,
    /// The writer's bounds.
    pub writer: WriterSettings,
}

/// The store on PostgreSQL.
pub struct PostgresStore {
    pool: PgPool,
    way: Way,
    patience: Patience,
    writer: Writer,
}

impl PostgresStore {
    /// Connects and applies missing migrations if that is allowed. Nodes that do so at the same
    /// time take turns.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let options = parameters::options(settings.url.expose_secret())?;
        let options = options.application_name("talkgraph");
        let way = Way::find(&options, settings).await?;
        prepare(&way, &options, settings).await?;
        let options = way.options(options, settings.statement_timeout);
        let patience = Patience::new(settings.statement_timeout, way.clone());
        let pool = pool(settings, patience.clone())
            .connect_with(options.clone())
            .await?;
        let committer = PostgresCommitter::connect(options, settings, way.clone()).await?;
        let health = Arc::new(StoreHealth::default());
        let writer = Writer::spawn(&settings.writer, committer, health);
        Ok(Self {
            pool,
            way,
            patience,
            writer,
        })
    }
}

async fn connect(
    options: &PgConnectOptions,
    timeout: Duration,
) -> Result<PgConnection, StoreError> {
    Ok(connect_once(options, timeout).await??)
}

/// Connects, or returns the server's error.
async fn connect_once(
    options: &PgConnectOptions,
    timeout: Duration,
) -> Result<Result<PgConnection, sqlx::Error>, StoreError> {
    let connecting = PgConnection::connect_with(options);
    let connected = tokio::time::timeout(timeout, connecting).await;
    connected.map_err(|_| {
        StoreError::Unavailable(format!("PostgreSQL did not answer within {timeout:?}"))
    })
}

/// Prepares the schema on a connection of its own, because a migration may take longer than a
/// statement.
async fn prepare(
    way: &Way,
    options: &PgConnectOptions,
    settings: &PostgresSettings,
) -> Result<(), StoreError> {
    let options = way.patient_options(options.clone());
    let mut connection = connect(&options, settings.connect_timeout).await?;
    if !way.is_pooled() {
        schema::prepare::<Postgres>(&mut connection, &MIGRATIONS, settings.migrate).await?;
        connection.close().await?;
        return Ok(());
    }
    // One transaction has one of the pooler's connections, so that a lock of the session and the
    // named statements of sqlx's migrator, of which another client may have left some, are sound.
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(NO_STATEMENTS)
        .execute(&mut *transaction)
        .await?;
    schema::prepare::<Postgres>(&mut transaction, &MIGRATIONS, settings.migrate).await?;
    sqlx::raw_sql(NO_STATEMENTS)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

fn pool(settings: &PostgresSettings, patience: Patience) -> PgPoolOptions {
    let doubting = patience.clone();
    PgPoolOptions::new()
        // One is the writer's.
        .max_connections(settings.connections.saturating_sub(1).max(1))
        .min_connections(1)
        .acquire_timeout(settings.acquire_timeout)
        // Asking before every statement would double the round trips; not asking at all
        // would give the first callers after a quiet time a connection that a firewall or a
        // restarted server has dropped meanwhile.
        .test_before_acquire(false)
        .before_acquire(move |connection, state| {
            let is_in_doubt = doubting.is_in_doubt();
            Box::pin(async move {
                if is_in_doubt || state.idle_for > TRUSTED_IDLE_TIME {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(move |connection, _| {
            let patience = patience.clone();
            Box::pin(async move {
                patience.trusts(connection).await?;
                Ok(true)
            })
        })
}

impl Pools for PostgresStore {
    type Db = Postgres;

    async fn read<R: Fetched>(&self, query: QueryBuilder<Postgres>) -> Result<Vec<R>, StoreError> {
        let read = async {
            let mut lent = self.way.lend(&self.pool).await?;
            let rows = fetch(lent.connection(), query).await?;
            lent.end().await?;
            Ok::<_, StoreError>(rows)
        };
        self.patience.wait(read).await
    }

    async fn write<R: Fetched>(&self, query: QueryBuilder<Postgres>) -> Result<Vec<R>, StoreError> {
        self.read(query).await
    }

    async fn execute(&self, query: QueryBuilder<Postgres>) -> Result<u64, StoreError> {
        let done = async {
            let mut lent = self.way.lend(&self.pool).await?;
            let changed = Postgres::execute(lent.connection(), query).await?;
            lent.end().await?;
            Ok::<_, StoreError>(changed)
        };
        self.patience.wait(done).await
    }

    async fn read_sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.read(sessions::sql::sessions(who, filter, page)).await
    }

    async fn read_branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
        most: u64,
    ) -> Result<Vec<Vec<Message>>, StoreError> {
        let read = async {
            let mut lent = self.way.lend(&self.pool).await?;
            let rows = messages::read_branches(lent.connection(), who, ranges, most).await?;
            lent.end().await?;
            Ok::<_, StoreError>(rows)
        };
        by_branch(self.patience.wait(read).await?, ranges.len())
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(self.way.begin(&self.pool).await?)
    }

    async fn in_time<T: Send>(
        &self,
        transaction: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.patience.wait(transaction).await
    }

    fn writer(&self) -> &Writer {
        &self.writer
    }
}

#[async_trait]
impl Maintenance for PostgresStore {
    async fn ping(&self) -> Result<(), StoreError> {
        let asked = sqlx::raw_sql("SELECT 1").execute(&self.pool);
        self.patience.wait(asked).await?;
        Ok(())
    }

    async fn heartbeat(&self) -> Result<(), StoreError> {
        self.writer.heartbeat().await
    }

    async fn check_tables(&self) -> Result<(), StoreError> {
        let locked = async {
            let mut transaction = self.way.begin(&self.pool).await?;
            for statement in LOCKS {
                sqlx::raw_sql(statement).execute(&mut *transaction).await?;
            }
            transaction.rollback().await
        };
        self.patience.wait(locked).await
    }

    fn health(&self) -> Arc<StoreHealth> {
        Arc::clone(self.writer.health())
    }

    async fn clock_ahead(&self) -> Result<Option<TimeDelta>, StoreError> {
        let measured = async {
            // The wait for a connection is not measured.
            let mut lent = self.way.lend(&self.pool).await?;
            let asked_at = now();
            let theirs = sqlx::query_scalar("SELECT clock_timestamp()").persistent(has_names());
            let theirs: Timestamp = theirs.fetch_one(lent.connection()).await?;
            let answered_at = now();
            lent.end().await?;
            Ok::<_, StoreError>((asked_at, theirs, answered_at))
        };
        let (asked_at, theirs, answered_at) = self.patience.wait(measured).await?;
        let way = answered_at - asked_at;
        Ok((way < LONGEST_WAY).then(|| asked_at + way / 2 - theirs))
    }

    fn was_alone(&self) -> bool {
        // Leases decide: other nodes may be anywhere.
        false
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        // Its own VACUUM does that.
        Ok(())
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}
