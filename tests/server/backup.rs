//! Backups of a database that is in use.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::process::{Output, Process, program, run};
use crate::support::talk::{chat, messages, string};
use crate::support::upstream::Upstream;

async fn backup(folder: &TempDir, to: &str, settings: &[(&str, &str)]) -> Output {
    run(program(folder.path(), &["backup", to], settings)).await
}

/// A backup that is refused: why, in one line. Nothing is left of it.
async fn refusal(folder: &TempDir, to: &str, settings: &[(&str, &str)]) -> String {
    let before = names(folder.path());
    let refused = backup(folder, to, settings).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert_eq!(names(folder.path()), before);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    refused.stderr
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        // They come and go with the connections.
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

async fn migrated() -> TempDir {
    let folder = TempDir::new().unwrap();
    let migrated = run(program(folder.path(), &["migrate"], &[])).await;
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    folder
}

#[tokio::test]
async fn a_backup_has_everything_that_was_acknowledged() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let provider = [("models.openai.base_url", &*upstream.base_url())];
    let server = Process::serve(program(folder.path(), &[], &provider)).await;
    let client = server.client();
    let mut sessions = Vec::new();
    for number in 0..5 {
        let answered = chat(&client, None, &format!("number {number}")).await;
        sessions.push(string(&answered["session"]["id"]));
    }
    let writing = tokio::spawn(async move {
        loop {
            chat(&client, None, "and on").await;
        }
    });

    let made = backup(&folder, "copies.db", &[]).await;
    writing.abort();
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    let bytes = std::fs::metadata(folder.path().join("copies.db")).unwrap();
    let said = format!("copies.db: {} bytes, checked\n", bytes.len());
    assert_eq!(made.stdout, said);
    drop(server);

    let copy = format!("sqlite://{}", folder.path().join("copies.db").display());
    let settings = [provider[0], ("store.url", copy.as_str())];
    let restored = Process::serve(program(folder.path(), &[], &settings)).await;
    let client = restored.client();
    for (number, session) in sessions.iter().enumerate() {
        let expected = [
            format!("USER: number {number}"),
            format!("ASSISTANT: echo 2: number {number}"),
        ];
        assert_eq!(messages(&client, session).await, expected);
    }
    let more = chat(&client, Some(&sessions[0]), "More").await;
    assert_eq!(more["message"]["text"], "echo 4: More");
}

#[tokio::test]
async fn a_backup_overwrites_nothing() {
    let folder = migrated().await;
    std::fs::write(folder.path().join("there.db"), "mine").unwrap();
    let line = refusal(&folder, "there.db", &[]).await;
    assert!(line.contains("there.db exists"), "{line}");
    let kept = std::fs::read_to_string(folder.path().join("there.db")).unwrap();
    assert_eq!(kept, "mine");
    std::fs::write(folder.path().join("new.db.unfinished"), "").unwrap();
    let line = refusal(&folder, "new.db", &[]).await;
    assert!(line.contains("new.db.unfinished exists"), "{line}");
}

#[tokio::test]
async fn a_backup_needs_a_database_in_a_file() {
    let folder = TempDir::new().unwrap();
    let line = refusal(&folder, "copy.db", &[]).await;
    assert!(line.contains("no database at"), "{line}");
    let url = "postgres://me:db-secret@127.0.0.1:9/talk";
    let line = refusal(&folder, "copy.db", &[("store.url", url)]).await;
    assert!(line.contains("use pg_dump"), "{line}");
    assert!(!line.contains("db-secret"), "{line}");
    let folder = migrated().await;
    let line = refusal(&folder, "nowhere/copy.db", &[]).await;
    assert!(line.contains("nowhere/copy.db"), "{line}");
}

#[tokio::test]
async fn a_damaged_copy_is_not_kept() {
    let folder = migrated().await;
    let path = folder.path().join("talkgraph.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let dangling = "INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, \
                    owner, events) VALUES (x'00', 1, 1, 'dev', 'dev', '[]')";
    sqlx::query(dangling)
        .execute(&mut connection)
        .await
        .unwrap();
    let line = refusal(&folder, "copy.db", &[]).await;
    assert!(
        line.contains("run_events refers to no row of runs"),
        "{line}"
    );
    connection.close().await.unwrap();

    // Only the first page, which has the schema, is what SQLite wrote.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let line = refusal(&folder, "copy.db", &[]).await;
    assert!(line.contains("malformed"), "{line}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_as_private_as_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let folder = migrated().await;
    let path = folder.path().join("talkgraph.db");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).unwrap();
    let made = backup(&folder, "copy.db", &[]).await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let copy = std::fs::metadata(folder.path().join("copy.db")).unwrap();
    assert_eq!(copy.permissions().mode() & 0o777, 0o600);
}
