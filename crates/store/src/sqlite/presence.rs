//! Whether another process uses a database file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::private::FILE_MODE;
use crate::StoreError;

/// A lock on a file beside the database: shared while the process lives, whatever ends it. The
/// database's own locks come and go with each transaction and cannot tell.
pub(super) struct Presence {
    _here: File,
    /// Whether nobody else had it.
    pub(super) was_alone: bool,
}

impl Presence {
    /// Says that this process uses the database at `path`.
    ///
    /// # Errors
    /// When the lock files cannot be made or locked.
    pub(super) fn announce(path: &Path) -> Result<Self, StoreError> {
        Self::announce_at(path).map_err(|error| {
            StoreError::Unavailable(format!("the lock files beside the database: {error}"))
        })
    }

    fn announce_at(path: &Path) -> io::Result<Self> {
        // One comes in after the other: between the two locks that follow nobody else looks.
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
