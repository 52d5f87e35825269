//! Detection of other processes that use a database file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::private::FILE_MODE;
use crate::StoreError;

/// A lock on a file next to the database: shared while the process lives, however it ends. The
/// database's own locks last for a transaction and do not show this.
pub(super) struct Presence {
    _here: File,
    /// True if no other process had the lock.
    pub(super) was_alone: bool,
}

impl Presence {
    /// Announces that this process uses the database at `path`.
    ///
    /// # Errors Fails if the lock files cannot be created or locked.
    pub(super) fn announce(path: &Path) -> Result<Self, StoreError> {
        Self::announce_at(path).map_err(|error| {
            StoreError::Unavailable(format!("the lock files next to the database: {error}"))
        })
    }

    fn announce_at(path: &Path) -> io::Result<Self> {
        // Processes enter one after the other: no other process checks between the two locks that
        // follow.
        let door = open(path, ".door")?;
        door.lock()?;
        let here = open(path, ".lock")?;
        let was_alone = match here.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        here.unlock()?;
        here.lock_shared()?;
        Ok(Self {
            _here: here,
            was_alone,
        })
    }
}

fn open(path: &Path, suffix: &str) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options.create(true).truncate(false).write(true).open(name)
}

#[cfg(test)]
mod tests {
    use super::Presence;

    #[test]
    fn the_first_is_alone_until_it_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talkgraph.db");
        let first = Presence::announce(&path).unwrap();
        assert!(first.was_alone);
        let second = Presence::announce(&path).unwrap();
        assert!(!second.was_alone);
        drop(first);
        assert!(!Presence::announce(&path).unwrap().was_alone);
        drop(second);
        assert!(Presence::announce(&path).unwrap().was_alone);
    }
}
