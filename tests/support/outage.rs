//! Databases that go away and come back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::chaos::{Chaos, Network};
use super::wait::eventually;

/// A way for a database to be away.
pub(crate) enum Outage {
    /// PostgreSQL, behind a network that does this.
    Network(Arc<Chaos>, Network),
    /// SQLite, locked by somebody else for writing.
    Locked {
        path: PathBuf,
        lock: Option<SqliteConnection>,
    },
    /// SQLite, on a disk on which this process can write no more. It must have been made by
    /// [`heedless`].
    Full { process: u32 },
}

impl Outage {
    pub(crate) fn locked(path: &Path) -> Self {
        Self::Locked {
            path: path.to_owned(),
            lock: None,
        }
    }

    pub(crate) async fn begin(&mut self) {
        match self {
            Self::Network(chaos, network) => chaos.set(*network),
            Self::Locked { path, lock } => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                // Whoever writes holds the lock for moments only.
                eventually("the lock", async || {
                    let locked = sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection);
                    locked.await.ok()
                })
                .await;
                *lock = Some(connection);
            }
            // Nothing can be written past the first byte of a file.
            Self::Full { process } => limit_files(*process, "1:"),
        }
    }

    pub(crate) async fn end(&mut self) {
        match self {
            Self::Network(chaos, _) => chaos.set(Network::Well),
            Self::Locked { lock, .. } => {
                if let Some(connection) = lock.take() {
                    connection.close().await.unwrap();
                }
            }
            Self::Full { process } => limit_files(*process, "unlimited:"),
        }
    }
}

/// Sets the largest size of a file that a process may write (Linux).
fn limit_files(process: u32, soft: &str) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process.to_string(), &format!("--fsize={soft}")]);
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// The same command, which goes on where a write fails for lack of room instead of being
/// ended by the signal that is the default answer to a limit.
pub(crate) fn heedless(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(key, value);
        }
    }
    shell
}
