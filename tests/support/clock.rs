//! Processes whose clock is wrong.

use std::path::Path;
use std::process::Command;

/// Makes the clock of a process run ahead by so many seconds (Linux with glibc). `folder` keeps
/// what is loaded into it.
pub(crate) fn ahead(command: &mut Command, folder: &Path, seconds: i64) {
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source);
    assert!(compiler.status().unwrap().success(), "{compiler:?}");
    command
        .env("LD_PRELOAD", library)
        .env("CLOCK_AHEAD_S", seconds.to_string());
}
