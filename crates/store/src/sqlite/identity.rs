//! Checks that the path of a database still names the open file. SQLite continues to write to a
//! removed file, and all of its content is lost with the process.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::StoreError;
use crate::health::StoreHealth;

/// The files of an open database: the database and its write-ahead log, which is part of it.
pub(super) struct Identity {
    files: Vec<(PathBuf, u64, u64)>,
    health: Arc<StoreHealth>,
}

impl Identity {
    /// The identity of the database at `path`, which is open and was written to.
    ///
    /// # Errors
    /// Fails when there is no file at the path.
    pub(super) fn of(path: &Path, health: Arc<StoreHealth>) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let files = [path.to_owned(), log.into()].into_iter().map(|path| {
            let (device, inode) = numbers(&path)?;
            Ok((path, device, inode))
        });
        let files: io::Result<_> = files.collect();
        let files = files.map_err(|error| {
            StoreError::Unavailable(format!("the database file cannot be read: {error}"))
        })?;
        Ok(Self { files, health })
    }

    /// Checks the paths: two system calls, about a microsecond each. To be called after every write
    /// and before it is acknowledged.
    ///
    /// # Errors Fails if a path names another file or none.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let lost = self.files.iter().find(|(path, device, inode)| {
            !numbers(path).is_ok_and(|found| found == (*device, *inode))
        });
        self.health.set_lost_file(lost.is_some());
        match lost {
            None => Ok(()),
            Some((path, ..)) => Err(StoreError::Unavailable(format!(
                "{} was removed or replaced while it is open: put that very file back, or \
                 restart the server",
                path.display()
            ))),
        }
    }

    /// Checks the paths again if the last check failed; otherwise costs nothing. To be called
    /// before reads and writes.
    ///
    /// # Errors The errors of [`Identity::check`].
    pub(super) fn recheck(&self) -> Result<(), StoreError> {
        match self.health.has_lost_file() {
            true => self.check(),
            false => Ok(()),
        }
    }
}

fn numbers(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_back_is_the_same_and_a_copy_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, away) = (folder.path().join("t.db"), folder.path().join("away"));
        fs::write(&path, "1").unwrap();
        fs::write(folder.path().join("t.db-wal"), "2").unwrap();
        let health = Arc::new(StoreHealth::default());
        let identity = Identity::of(&path, Arc::clone(&health)).unwrap();
        identity.check().unwrap();
        fs::rename(&path, &away).unwrap();
        identity.recheck().unwrap();
        assert!(identity.check().is_err() && health.has_lost_file());
        fs::copy(&away, &path).unwrap();
        assert!(identity.recheck().is_err());
        fs::rename(&away, &path).unwrap();
        identity.recheck().unwrap();
        assert!(!health.has_lost_file());
        fs::remove_file(folder.path().join("t.db-wal")).unwrap();
        assert!(identity.check().is_err());
    }
}
