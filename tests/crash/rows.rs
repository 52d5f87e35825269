//! What has to be true of the database's rows once no server runs.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, PgConnection, SqliteConnection};

/// Runs that have not ended.
const ACTIVE: &str =
    "SELECT COUNT(*) FROM runs WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED')";
const RUNS: &str = "SELECT COUNT(*) FROM runs";
const ANSWERED: &str = "SELECT COUNT(*) FROM messages WHERE role = 'USER'";
/// Rows of a log that do not begin where the one before has ended.
const HOLES: &str = "SELECT COUNT(*) FROM (SELECT first_sequence, LAG(last_sequence, 1, 0)
     OVER (PARTITION BY run_id ORDER BY first_sequence) AS before FROM run_events) AS log
     WHERE first_sequence <> before + 1";

/// A database that no server uses any more.
pub(crate) enum Rows {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

impl Rows {
    pub(crate) async fn of_file(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path);
        let connection = SqliteConnection::connect_with(&options).await;
        Self::Sqlite(connection.unwrap())
    }

    pub(crate) async fn of_url(url: &str) -> Self {
        Self::Postgres(Box::new(PgConnection::connect(url).await.unwrap()))
    }

    /// As many runs and questions as were acknowledged, none of them active, no log with a
    /// hole, and a file that SQLite finds in order.
    pub(crate) async fn check(mut self, runs: usize) {
        let runs = i64::try_from(runs).unwrap();
        assert_eq!(self.count(ACTIVE).await, 0, "active runs");
        assert_eq!(self.count(RUNS).await, runs, "runs");
        assert_eq!(self.count(ANSWERED).await, runs, "messages of users");
        assert_eq!(self.count(HOLES).await, 0, "holes in logs");
        if let Self::Sqlite(connection) = &mut self {
            let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
                .fetch_all(&mut *connection)
                .await
                .unwrap();
            assert_eq!(said, ["ok"]);
            let dangling = sqlx::query("PRAGMA foreign_key_check");
            let dangling = dangling.fetch_all(connection).await.unwrap();
            assert!(dangling.is_empty(), "references to nothing");
        }
    }

    async fn count(&mut self, sql: &'static str) -> i64 {
        let query = sqlx::query_scalar;
        match self {
            Self::Sqlite(connection) => query(sql).fetch_one(connection).await.unwrap(),
            Self::Postgres(connection) => {
                let query = sqlx::query_scalar(sql);
                query.fetch_one(&mut **connection).await.unwrap()
            }
        }
    }
}
