//! The modes of everything that the server writes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::process::{Process, program, run};
use crate::support::server::variable;
use crate::support::talk::send;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The program in a shell that takes no right away from new files.
fn open_handed(folder: &Path, arguments: &str) -> Command {
    let usual = program(folder, &[], &[]);
    let mut command = Command::new("sh");
    let script = format!(
        "umask 000; exec {} {arguments}",
        env!("CARGO_BIN_EXE_talkgraph")
    );
    command
        .args(["-c", &script])
        .current_dir(folder)
        .env_clear();
    for (name, value) in usual.get_envs() {
        command.env(name, value.unwrap());
    }
    let store = format!("sqlite://{}", folder.join("data/talkgraph.db").display());
    command.env(variable("store.url"), store);
    command.env(variable("telemetry.log"), "debug");
    command
}

/// Each file of the data folder must be for its owner alone.
fn check(data: &Path) -> Vec<String> {
    assert_eq!(mode(data), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    names
}

#[tokio::test]
async fn no_one_else_reads_what_the_server_writes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Process::serve(open_handed(folder.path(), "")).await;
    send(&server.client(), None, "Hi").await;
    let names = check(&data);
    for name in [
        "talkgraph.db",
        "talkgraph.db-wal",
        "talkgraph.db-shm",
        "talkgraph.db.lock",
    ] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    let copied = run(open_handed(folder.path(), "backup data/talkgraph-copy.db")).await;
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    check(&data);
}

#[tokio::test]
async fn what_was_open_is_closed_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Process::serve(open_handed(folder.path(), "")).await;
    // What it leaves are a log and an index of it.
    server.kill();
    server.exit_code().await;
    for entry in std::fs::read_dir(&data).unwrap() {
        set_mode(&entry.unwrap().path(), 0o666);
    }
    set_mode(&data, 0o777);
    let server = Process::serve(open_handed(folder.path(), "")).await;
    check(&data);
    assert!(server.log().contains("rights of other users removed"));
}

#[tokio::test]
async fn a_folder_with_other_files_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("somebody.txt"), "mine").unwrap();
    set_mode(&data, 0o755);
    let server = Process::serve(open_handed(folder.path(), "")).await;
    assert_eq!(mode(&data), 0o755);
    assert_eq!(mode(&data.join("talkgraph.db")), 0o600);
    assert!(
        server.log().contains("its mode is not changed"),
        "{}",
        server.log()
    );
}
