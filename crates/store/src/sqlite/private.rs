//! Files that only this process's user can read, with any umask.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Modes without rights for the group and for others.
const FOLDER_MODE: u32 = 0o700;
pub(super) const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Set on folders such as /tmp, which all users share.
const STICKY: u32 = 0o1000;

/// The suffixes of files that SQLite and this server keep next to the database.
const COMPANIONS: [&str; 5] = ["-wal", "-shm", "-journal", ".lock", ".door"];

/// Creates the database's folder and file for this user alone, and removes the rights of other
/// users from existing ones. SQLite gives its own files the mode of the database.
///
/// The mode of an existing folder is only changed if everything in it belongs to the database.
/// Files and folders of another user keep theirs.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        prepare_folder(folder, path).map_err(|error| {
            let folder = folder.display();
            StoreError::Unavailable(format!("the folder {folder} cannot be created: {error}"))
        })?;
    }
    prepare_files(path).map_err(|error| {
        StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display()))
    })
}

fn prepare_folder(folder: &Path, database: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder);
    }
    let mode = fs::metadata(folder)?.mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    if mode & STICKY == 0 && is_of(database, folder)? {
        return tighten(folder, FOLDER_MODE);
    }
    // Its files are protected all the same.
    tracing::debug!(
        folder = %folder.display(),
        mode = format!("{:o}", mode & 0o7777),
        "the database's folder is open to other users and has other files: its mode is not changed"
    );
    Ok(())
}

/// True if a folder contains only the database, its companions and copies.
fn is_of(database: &Path, folder: &Path) -> io::Result<bool> {
    let Some(stem) = database.file_stem() else {
        return Ok(false);
    };
    let stem = stem.to_string_lossy();
    for entry in fs::read_dir(folder)? {
        if !entry?.file_name().to_string_lossy().starts_with(&*stem) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn prepare_files(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE);
    match options.open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let companions = COMPANIONS.iter().map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    for file in companions.chain([path.to_owned()]) {
        match fs::metadata(&file) {
            Ok(known) if known.is_file() && known.mode() & OTHERS != 0 => {
                tighten(&file, known.mode() & FILE_MODE)?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => {
            tracing::debug!(path = %path.display(), "rights of other users removed");
            Ok(())
        }
        // Of another user, or on a file system without modes.
        Err(error) if is_not_ours(&error) => {
            tracing::warn!(path = %path.display(), %error, "file open to other users");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn is_not_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | Unsupported
    )
}
