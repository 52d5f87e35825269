//! Small files, read within a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// An error of a file.
#[derive(Debug)]
pub(super) enum ReadError {
    File(io::Error),
    TooLarge,
    NotText,
}

/// The text of a file of at most so many bytes.
pub(super) fn read_text(path: &Path, max_bytes: u64) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ReadError::File)?;
    // A device file may be endless and report no length.
    let read = file.take(max_bytes + 1).read_to_end(&mut bytes);
    read.map_err(ReadError::File)?;
    if bytes.len() as u64 > max_bytes {
        return Err(ReadError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|_| ReadError::NotText)?;
    // Some editors begin a file with a byte order mark.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}
