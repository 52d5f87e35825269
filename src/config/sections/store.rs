//! The database.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::secret;
use talkgraph_domain::redact;

/// The pooler in front of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolerSetting {
    /// Detected at start.
    Auto,
    /// A pooler in transaction mode.
    Transaction,
    /// None, or one in session mode.
    None,
}

unbounded!(PoolerSetting);

sections! {
    /// The database.
    StoreSettings {
        /// URL of the database: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. Also:
        /// `DATABASE_URL`.
        #[serde(serialize_with = "secret::hide_password")]
        url: SecretString = "sqlite://data/talkgraph.db",
        /// Creates a missing database and applies pending migrations at start. If false, the server
        /// refuses to start while a migration is pending, until `talkgraph migrate` has applied it;
        /// its role in PostgreSQL then needs to read and write rows, and nothing more.
        migrate: bool = true,
        /// Number of connections that read at once.
        connections: u32 = 8,
        /// Longest wait of a request for a free connection, in milliseconds.
        acquire_timeout_ms: u64 = 5_000,
        /// Longest time to connect to PostgreSQL, in milliseconds.
        connect_timeout_ms: u64 = 5_000,
        /// Longest time of one statement in PostgreSQL, in milliseconds.
        statement_timeout_ms: u64 = 30_000,
        /// Pooler between this server and PostgreSQL: "transaction" for one in transaction mode, as
        /// `PgBouncer` is with managed databases, "none" for none or one in session mode. "auto"
        /// detects it at start. Through a pooler each call is a transaction and no statement is
        /// prepared, which takes two round trips more.
        pooler: PoolerSetting = "auto",
        /// Longest wait of SQLite for another process's lock, in milliseconds. 0: no wait.
        sqlite_busy_timeout_ms: u64 [0..] = 5_000,
        /// Lets each SQLite commit wait for the disk. Without it a power cut may lose the last
        /// moments; a killed process loses nothing.
        sqlite_synchronous_full: bool = false,
        /// Number of event groups that SQLite keeps in order of arrival before it sorts them by
        /// run. They are committed all the same; more of them are sorted with less work, and make
        /// reading an active run slower.
        sqlite_recent_groups: u32 = 2_048,
        /// Length of SQLite's write-ahead log, in bytes, at which it is restarted; commits wait
        /// some milliseconds for that. Its file is truncated five seconds after the last commit,
        /// and after a deletion. A shorter log would be restarted many times a second.
        sqlite_wal_bytes: u64 [1_048_576..] = 67_108_864,
        /// Largest SQLite database, in bytes, that is rewritten as a whole: at start if an earlier
        /// release created it, so that it gives space back from then on, and after deletions once
        /// nothing has been committed for a second, so that no trace of them is left. Commits wait
        /// for it, about a second for each 100 MB. 0: never; `talkgraph compact` rewrites a
        /// database of any size while the server is stopped.
        sqlite_rewrite_bytes: u64 [0..] = 67_108_864,
        /// Most writes that wait for their commit; beyond it, writers wait.
        write_queue: usize = 4_096,
        /// Most writes of one commit.
        write_group: usize = 256,
        /// Longest wait of a write for a place in the queue, in milliseconds.
        write_queue_timeout_ms: u64 = 10_000,
        /// Longest wait of a run's events for those of other runs to share their commit, in
        /// microseconds, while events come faster than that. Every follower of a run waits for it.
        /// Starts and ends never wait, and neither do events that are likely to be alone. 0:
        /// commits at once.
        write_gather_us: u64 [0..=20_000] = 1_000,
    }
}

impl StoreSettings {
    /// The URL of the database without its password.
    pub(crate) fn shown_url(&self) -> String {
        redact::url(self.url.expose_secret())
    }
}
