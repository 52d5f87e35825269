//! A copy of a database that a server may be writing to.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use thiserror::Error;

use super::private::FILE_MODE;

/// The suffix of the copy until it has been checked.
const UNFINISHED: &str = ".unfinished";

/// The number of reported problems of a damaged copy; the first ones show the cause.
const PROBLEMS: usize = 3;

/// The reason of a failed backup. No file is left at its path.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The path exists.
    #[error("{0} exists, and a backup overwrites nothing: choose another path")]
    Exists(PathBuf),
    /// Another backup has the same path.
    #[error(
        "{0} exists: another backup is being written there, or one was killed, \
         and then its file can be removed"
    )]
    Unfinished(PathBuf),
    /// SQLite takes names in UTF-8 only.
    #[error("{0} is not UTF-8")]
    Path(PathBuf),
    /// The database does not exist.
    #[error("there is no database at {0}")]
    Missing(PathBuf),
    /// A file operation failed.
    #[error("{path}: {error}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// SQLite could not create the copy.
    #[error("the database could not be copied: {0}")]
    Copy(sqlx::Error),
    /// The copy cannot be trusted, nor perhaps the database.
    #[error("the copy is damaged and was removed; check the database itself: {0}")]
    Damaged(String),
}

/// Copies the database at `from` to `to`, in its state between two commits; concurrent writers
/// neither wait nor fail. The copy is checked (`integrity_check`, `foreign_key_check`) and synced
/// to the disk before it gets its name. Returns its size in bytes.
pub async fn backup(from: &Path, to: &Path, busy_timeout: Duration) -> Result<u64, BackupError> {
    if !from.is_file() {
        return Err(BackupError::Missing(from.to_owned()));
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let copy = Unfinished::claim(to)?;
    let name = copy
        .path
        .to_str()
        .ok_or_else(|| BackupError::Path(to.to_owned()))?;
    copy_into(from, name, busy_timeout)
        .await
        .map_err(BackupError::Copy)?;
    check(&copy.path).await?;
    copy.finish(to)
}

/// The file of a backup under way; removed unless it is finished.
struct Unfinished {
    path: PathBuf,
    is_finished: bool,
}

impl Unfinished {
    /// Creates the file, empty and for this user alone.
    fn claim(to: &Path) -> Result<Self, BackupError> {
        let mut name = to.as_os_str().to_owned();
        name.push(UNFINISHED);
        // Absolute, because SQLite would take a name that begins with `file:` for a URI.
        let path = std::path::absolute(&name).map_err(|error| file(to, error))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        match options.open(&path) {
            Ok(_) => Ok(Self {
                path,
                is_finished: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(BackupError::Unfinished(path))
            }
            Err(error) => Err(file(&path, error)),
        }
    }

    /// Syncs the file to the disk and gives it its name.
    fn finish(mut self, to: &Path) -> Result<u64, BackupError> {
        let synced = File::open(&self.path).and_then(|copy| {
            // VACUUM INTO leaves this to its caller.
            copy.sync_all()?;
            Ok(copy.metadata()?.len())
        });
        let bytes = synced.map_err(|error| file(&self.path, error))?;
        fs::rename(&self.path, to).map_err(|error| file(to, error))?;
        self.is_finished = true;
        if let Some(folder) = self.path.parent() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| file(folder, error))?;
        }
        Ok(bytes)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::error!(path = %self.path.display(), %error, "unfinished backup not removed");
        }
    }
}

/// Copies in one read transaction, which in WAL mode blocks no writer.
async fn copy_into(from: &Path, to: &str, busy_timeout: Duration) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(from)
        .busy_timeout(busy_timeout);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(to)
        .execute(&mut connection)
        .await;
    connection.close().await?;
    copied.map(drop)
}

async fn check(copy: &Path) -> Result<(), BackupError> {
    let problems = problems(copy).await.map_err(BackupError::Copy)?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(BackupError::Damaged(problems.join("; "))),
    }
}

async fn problems(copy: &Path) -> Result<Vec<String>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(copy).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut connection)
        .await?;
    // Table, row, referenced table, index of the foreign key.
    let dangling: Vec<(String, Option<i64>, String, i64)> =
        sqlx::query_as("PRAGMA foreign_key_check")
            .fetch_all(&mut connection)
            .await?;
    connection.close().await?;
    let dangling = dangling
        .into_iter()
        .map(|(table, _, parent, _)| format!("a row of {table} refers to no row of {parent}"));
    let problems = said.into_iter().filter(|line| line != "ok").chain(dangling);
    Ok(problems.take(PROBLEMS).collect())
}

fn file(path: &Path, error: io::Error) -> BackupError {
    BackupError::File {
        path: path.to_owned(),
        error,
    }
}
