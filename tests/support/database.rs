//! Databases for tests: one of its own for each test, on SQLite or PostgreSQL.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use talkgraph_store::postgres::{Pooler as PoolerKind, PostgresSettings, PostgresStore};
use talkgraph_store::sqlite::{SqliteSettings, SqliteStore};
use talkgraph_store::{SharedStore, StoreError, WriterSettings};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::pooler::Pooler;
use super::server::repository;

/// Bounds that no test reaches by accident.
const ROOMY: WriterSettings = WriterSettings {
    queue: 1000,
    group: 500,
    queue_timeout: Duration::from_secs(10),
    batch_window: Duration::from_micros(800),
};

/// How many groups of events SQLite keeps unsorted: few, so that both kinds are read.
const RECENT: u32 = 2;

/// A database that lasts as long as its test.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres {
        url: String,
        admin: String,
        /// In front of the server, if the URL is of one.
        pooler: Option<Pooler>,
    },
}

/// Runs a test on a SQLite database.
pub(crate) fn on_sqlite<F>(test: impl FnOnce(Arc<Database>) -> F)
where
    F: Future<Output = ()>,
{
    let folder = TempDir::new().expect("a folder for the database");
    run(async { Database::Sqlite(folder) }, test);
}

/// Runs a test on a PostgreSQL database that has all tables.
pub(crate) fn on_postgres<F>(test: impl FnOnce(Arc<Database>) -> F)
where
    F: Future<Output = ()>,
{
    run(Database::postgres(true), test);
}

/// Runs a test on a PostgreSQL database that has no tables yet.
pub(crate) fn on_empty_postgres<F>(test: impl FnOnce(Arc<Database>) -> F)
where
    F: Future<Output = ()>,
{
    run(Database::postgres(false), test);
}

/// Runs a test on a PostgreSQL database without tables behind a pooler, which has a line more in
/// its settings.
pub(crate) fn on_pooled_postgres<F>(line: &str, test: impl FnOnce(Arc<Database>) -> F)
where
    F: Future<Output = ()>,
{
    run(
        async { Database::postgres(false).await.pooled(line).await },
        test,
    );
}

fn run<F>(database: impl Future<Output = Database>, test: impl FnOnce(Arc<Database>) -> F)
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let database = Arc::new(database.await);
        // A failed test too leaves no database behind.
        let test = AssertUnwindSafe(test(Arc::clone(&database)));
        let outcome = test.catch_unwind().await;
        database.remove().await;
        if let Err(failed) = outcome {
            resume_unwind(failed);
        }
    });
}

impl Database {
    async fn postgres(migrated: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let admin = std::env::var("TEST_POSTGRES_URL").expect(
            "TEST_POSTGRES_URL is not set: use `scripts/postgres run -- cargo test`, which \
             starts a PostgreSQL for the time of the tests",
        );
        let template = match migrated {
            true => template(&admin).await,
            false => "template0",
        };
        let name = format!(
            "{TEST_PREFIX}{}_{}_{}",
            unix_time().as_secs(),
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let mut connection = connect(&admin).await;
        execute(
            &mut connection,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        Self::Postgres {
            url: url_of(&admin, &name),
            admin,
            pooler: None,
        }
    }

    /// The same database through a pooler in transaction mode, with a line more in its settings.
    async fn pooled(self, line: &str) -> Self {
        let Self::Postgres { url, admin, .. } = self else {
            panic!("a pooler is for PostgreSQL");
        };
        let pooler = Pooler::start(&admin, line).await;
        Self::Postgres {
            url: pooler.url(&url),
            admin,
            pooler: Some(pooler),
        }
    }

    /// A node's store on this database.
    pub(crate) async fn open(&self) -> SharedStore {
        self.open_with(ROOMY).await
    }

    /// A node's store with these bounds for its writer.
    pub(crate) async fn open_with(&self, writer: WriterSettings) -> SharedStore {
        match self {
            Self::Sqlite(_) => {
                let settings = self.sqlite_settings(writer);
                Arc::new(SqliteStore::open(&settings).await.expect("SQLite opens"))
            }
            Self::Postgres { url, .. } => {
                let settings = postgres_settings(url, writer);
                Arc::new(
                    PostgresStore::open(&settings)
                        .await
                        .expect("PostgreSQL opens"),
                )
            }
        }
    }

    /// The result of opening the database, with or without the right to bring it up to date.
    pub(crate) async fn try_open(&self, migrate: bool) -> Result<SharedStore, StoreError> {
        Ok(match self {
            Self::Sqlite(_) => {
                let settings = SqliteSettings {
                    migrate,
                    ..self.sqlite_settings(ROOMY)
                };
                Arc::new(SqliteStore::open(&settings).await?)
            }
            Self::Postgres { url, .. } => {
                let settings = PostgresSettings {
                    migrate,
                    ..postgres_settings(url, ROOMY)
                };
                Arc::new(PostgresStore::open(&settings).await?)
            }
        })
    }

    fn sqlite_settings(&self, writer: WriterSettings) -> SqliteSettings {
        SqliteSettings {
            path: self.sqlite_path(),
            migrate: true,
            read_connections: 2,
            synchronous_full: false,
            busy_timeout: Duration::from_secs(10),
            acquire_timeout: Duration::from_secs(10),
            recent: RECENT,
            wal_bytes: 1024 * 1024,
            rewrite_bytes: 64 * 1024 * 1024,
            writer,
        }
    }

    /// The number of rows of a table, with conditions.
    pub(crate) async fn count(&self, of: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {of}"));
        let counted = match self {
            Self::Sqlite(_) => {
                let path = self.sqlite_path();
                let mut connection = SqliteConnection::connect(&path.to_string_lossy())
                    .await
                    .expect("SQLite opens");
                sqlx::query_scalar(sql).fetch_one(&mut connection).await
            }
            Self::Postgres { url, .. } => {
                let mut connection = connect(url).await;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await
            }
        };
        counted.expect("a number")
    }

    /// Runs a statement outside of the store, on either database; `x''` are bytes in both.
    pub(crate) async fn run_beside(&self, sql: &str) {
        match self {
            Self::Sqlite(_) => {
                let path = self.sqlite_path();
                let mut connection = SqliteConnection::connect(&path.to_string_lossy())
                    .await
                    .expect("SQLite opens");
                let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
                done.execute(&mut connection).await.expect("a statement");
            }
            Self::Postgres { .. } => self.execute(&sql.replace("x'", "'\\x")).await,
        }
    }

    /// Does to the database what no method of the store can do: moves a session's head.
    pub(crate) async fn set_head(&self, session: uuid::Uuid, head: uuid::Uuid, length: i32) {
        let sql = "UPDATE sessions SET head_message_id = $1, branch_length = $2 WHERE id = $3";
        match self {
            Self::Sqlite(_) => {
                let path = self.sqlite_path();
                let mut connection = SqliteConnection::connect(&path.to_string_lossy())
                    .await
                    .expect("SQLite opens");
                let query = sqlx::query(sql).bind(head).bind(length).bind(session);
                query.execute(&mut connection).await.expect("an update");
            }
            Self::Postgres { url, .. } => {
                let mut connection = connect(url).await;
                let query = sqlx::query(sql).bind(head).bind(length).bind(session);
                query.execute(&mut connection).await.expect("an update");
            }
        }
    }

    /// The strings that are in a file of the SQLite database, or in a dump of the
    /// PostgreSQL one; contents of files as well.
    pub(crate) async fn found(&self, strings: &[String]) -> Vec<String> {
        match self {
            Self::Sqlite(folder) => found_in(folder.path(), strings),
            Self::Postgres { url, .. } => {
                let programs = Command::new(repository("scripts/postgres"))
                    .arg("bin")
                    .output()
                    .expect("the folder of PostgreSQL's programs");
                let programs = String::from_utf8(programs.stdout).expect("a path");
                // Links to the server's programs may be in a folder that has no others.
                let server = PathBuf::from(programs.trim()).join("postgres");
                let server = server.canonicalize().expect("the server's program");
                let dump = Command::new(server.with_file_name("pg_dump"))
                    // The rest of it is for sqlx.
                    .args(["--dbname", url.split('?').next().unwrap_or(url)])
                    .output()
                    .expect("pg_dump runs");
                let failed = String::from_utf8_lossy(&dump.stderr);
                assert!(dump.status.success(), "{failed}");
                let hex = |text: &str| -> String {
                    text.bytes().map(|byte| format!("{byte:02x}")).collect()
                };
                let is_there = |text: &&String| {
                    contains(&dump.stdout, text) || contains(&dump.stdout, &hex(text))
                };
                strings.iter().filter(is_there).cloned().collect()
            }
        }
    }

    /// How a PostgreSQL store is opened here.
    pub(crate) fn postgres_settings(&self) -> PostgresSettings {
        postgres_settings(self.postgres_url(), ROOMY)
    }

    /// Runs a statement on PostgreSQL.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = connect(self.postgres_url()).await;
        execute(&mut connection, sql.to_owned()).await;
    }

    /// Runs a statement on PostgreSQL and holds its locks until the connection is closed.
    pub(crate) async fn hold(&self, sql: String) -> PgConnection {
        let mut connection = connect(self.postgres_url()).await;
        execute(&mut connection, format!("BEGIN; {sql}")).await;
        connection
    }

    /// Where SQLite's database is.
    pub(crate) fn sqlite_path(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("data").join("talkgraph.db"),
            Self::Postgres { .. } => panic!("this needs SQLite"),
        }
    }

    /// The URL of PostgreSQL's database.
    pub(crate) fn postgres_url(&self) -> &str {
        match self {
            Self::Sqlite(_) => panic!("this needs PostgreSQL"),
            Self::Postgres { url, .. } => url,
        }
    }

    async fn remove(&self) {
        if let Self::Postgres { url, admin, .. } = self {
            let name = url.rsplit('/').next().and_then(|end| end.split('?').next());
            let name = name.expect("a URL with a database");
            let mut connection = connect(admin).await;
            drop_database(&mut connection, name).await;
        }
    }
}

/// The strings that are in any file of a folder, as bytes.
pub(crate) fn found_in(folder: &Path, strings: &[String]) -> Vec<String> {
    let mut bytes = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                // It may be gone by now, as SQLite's own files come and go.
                false => bytes.extend(std::fs::read(path).unwrap_or_default()),
            }
        }
    }
    let is_there = |text: &&String| contains(&bytes, text);
    strings.iter().filter(is_there).cloned().collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

fn postgres_settings(url: &str, writer: WriterSettings) -> PostgresSettings {
    PostgresSettings {
        url: SecretString::from(url),
        migrate: true,
        connections: 3,
        connect_timeout: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        pooler: PoolerKind::Auto,
        writer,
    }
}

const TEST_PREFIX: &str = "talkgraph_test_";
const TEMPLATE_PREFIX: &str = "talkgraph_template_";

/// No test takes so long: a database as old as this was left over by a killed process.
const OLDEST_TEST: Duration = Duration::from_secs(3600);
/// Another checkout may still use a template with other migrations, but not for so long.
const OLDEST_TEMPLATE: Duration = Duration::from_secs(24 * 3600);

/// Guards the templates against other test processes. Any number will do.
const TEMPLATE_LOCK: i64 = 0x7461_6c6b_7465_7374;

/// A database with all tables, to be copied by every test: named after the migrations, so
/// that one made by other migrations is never used.
async fn template(admin: &str) -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let mut connection = connect(admin).await;
        let lock = format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})");
        execute(&mut connection, lock).await;
        let template = template_name();
        let databases = databases(&mut connection).await;
        remove_leftovers(&mut connection, &databases, &template).await;
        if !databases.iter().any(|(name, _)| *name == template) {
            make_template(admin, &mut connection, &template).await;
        }
        // The lock goes with the connection.
        connection.close().await.expect("an orderly end");
        template
    };
    TEMPLATE.get_or_init(make).await
}

fn template_name() -> String {
    let mut hash = Sha256::new();
    for migration in sqlx_macros::migrate!("migrations/postgres").iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    let hex: String = hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{TEMPLATE_PREFIX}{hex}")
}

async fn make_template(admin: &str, connection: &mut PgConnection, template: &str) {
    // Under another name until it is whole: whoever finds a template can use it.
    let draft = format!("{template}_draft");
    drop_database(connection, &draft).await;
    execute(
        connection,
        format!("CREATE DATABASE {draft} TEMPLATE template0"),
    )
    .await;
    let settings = postgres_settings(&url_of(admin, &draft), ROOMY);
    let store = PostgresStore::open(&settings)
        .await
        .expect("the migrations");
    talkgraph_store::Maintenance::close(&store).await;
    let made_at = unix_time().as_secs();
    execute(
        connection,
        format!("COMMENT ON DATABASE {draft} IS '{made_at}'"),
    )
    .await;
    execute(
        connection,
        format!("ALTER DATABASE {draft} RENAME TO {template}"),
    )
    .await;
}

/// The tests' databases with their comments.
async fn databases(connection: &mut PgConnection) -> Vec<(String, Option<String>)> {
    sqlx::query_as(
        "SELECT datname::text, shobj_description(oid, 'pg_database') FROM pg_database
         WHERE datname LIKE 'talkgraph\\_%'",
    )
    .fetch_all(connection)
    .await
    .expect("the names of the databases")
}

async fn remove_leftovers(
    connection: &mut PgConnection,
    databases: &[(String, Option<String>)],
    template: &str,
) {
    for (name, comment) in databases {
        let made_at = match name.strip_prefix(TEST_PREFIX) {
            Some(rest) => rest.split('_').next(),
            None => comment.as_deref(),
        };
        let oldest = match name.starts_with(TEST_PREFIX) {
            true => OLDEST_TEST,
            false => OLDEST_TEMPLATE,
        };
        let made_at = made_at.and_then(|at| at.parse().ok()).unwrap_or(u64::MAX);
        let age = unix_time().as_secs().saturating_sub(made_at);
        if age > oldest.as_secs() && name != template {
            drop_database(connection, name).await;
        }
    }
}

async fn drop_database(connection: &mut PgConnection, name: &str) {
    execute(
        connection,
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
    )
    .await;
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection")
}

/// The same server, another database.
fn url_of(admin: &str, database: &str) -> String {
    let options: PgConnectOptions = admin.parse().expect("TEST_POSTGRES_URL is a URL");
    options.database(database).to_url_lossy().into()
}

fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock after 1970")
}
