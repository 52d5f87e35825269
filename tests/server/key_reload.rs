//! API keys that change while the server runs.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::support::client::{Client, body};
use crate::support::process::{Process, program};
use crate::support::server::key_setting;
use crate::support::wait::eventually;

const AGAIN: &str = "API keys reloaded";
const NOT_TAKEN: &str = "API key reload failed";

fn settings(folder: &Path, keys: &[&str]) {
    let toml: String = keys
        .iter()
        .map(|key| key_setting(key, "acme", key))
        .collect();
    std::fs::write(folder.join("talkgraph.toml"), toml).unwrap();
}

async fn status(server: &Process, key: &str) -> u16 {
    let client = Client::new(&server.address, Some(key));
    body(client.post("{ __typename }", &Value::Null)).await.0
}

/// Sends SIGHUP and waits until the server has said this of it.
async fn reload(server: &Process, said: &str) {
    let before = server.log().matches(said).count();
    server.hang_up();
    logged(server, said, before + 1).await;
}

async fn logged(server: &Process, said: &str, times: usize) {
    eventually(said, async || {
        (server.log().matches(said).count() >= times).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sighup_adds_and_removes_keys() {
    let folder = tempfile::tempdir().unwrap();
    settings(folder.path(), &["ann", "bob"]);
    let only_signals = [("auth.reload_interval_ms", "0")];
    let server = Process::serve(program(folder.path(), &[], &only_signals)).await;
    let socket = |key: &'static str| Client::new(&server.address, Some(key));
    let (anns, bobs) = (socket("ann").socket().await, socket("bob").socket().await);
    let mut anns = anns;

    settings(folder.path(), &["ann", "cid"]);
    reload(&server, AGAIN).await;
    assert_eq!(bobs.closed().await, 4401);
    assert!(anns.is_quiet().await);
    for (key, expected) in [("ann", 200), ("bob", 401), ("cid", 200)] {
        assert_eq!(status(&server, key).await, expected, "{key}");
    }
    let log = server.log();
    let line = log.lines().find(|line| line.contains(AGAIN)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["added"], &line["removed"]), (&1.into(), &1.into()));
    assert_eq!(line["added_keys"], "[\"cid\"]");
    assert_eq!(line["removed_keys"], "[\"bob\"]");

    // What is wrong changes nothing.
    let file = folder.path().join("talkgraph.toml");
    std::fs::write(&file, "[[auth.keys]]\nname = \"ann\"\n").unwrap();
    reload(&server, NOT_TAKEN).await;
    std::fs::write(&file, "[[auth.keys]\n").unwrap();
    reload(&server, NOT_TAKEN).await;
    assert!(server.log().contains("talkgraph.toml"));
    // Nor does what would open the server.
    std::fs::write(&file, "").unwrap();
    reload(&server, NOT_TAKEN).await;
    assert_eq!(status(&server, "ann").await, 200);
    assert_eq!(status(&server, "bob").await, 401);
    assert!(anns.is_quiet().await);
}

#[tokio::test]
async fn a_server_without_keys_is_not_closed_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(program(folder.path(), &[], &[])).await;
    settings(folder.path(), &["ann"]);
    reload(&server, NOT_TAKEN).await;
    assert!(server.log().contains("restart it"));
    let client = server.client();
    assert_eq!(
        body(client.post("{ __typename }", &Value::Null)).await.0,
        200
    );
}

#[tokio::test]
async fn a_mounted_folder_of_keys_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    // As Kubernetes does: each file is a link through ..data, which is swapped as one.
    let version = |name: &str, names: &[&str]| {
        let version = keys.join(name);
        std::fs::create_dir(&version).unwrap();
        for name in names {
            let toml = key_setting(name, "acme", name);
            let toml = toml.strip_prefix("[[auth.keys]]\n").unwrap();
            std::fs::write(version.join(name), toml).unwrap();
            let link = keys.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        symlink(name, keys.join("..data_tmp")).unwrap();
        std::fs::rename(keys.join("..data_tmp"), keys.join("..data")).unwrap();
    };
    version("..1", &["ann", "bob"]);
    let settings = [
        ("auth.keys_folder", keys.to_str().unwrap()),
        ("auth.reload_interval_ms", "50"),
    ];
    let server = Process::serve(program(folder.path(), &[], &settings)).await;
    let bobs = Client::new(&server.address, Some("bob")).socket().await;
    version("..2", &["ann", "cid"]);
    logged(&server, AGAIN, 1).await;
    assert_eq!(bobs.closed().await, 4401);
    for (key, expected) in [("ann", 200), ("bob", 401), ("cid", 200)] {
        assert_eq!(status(&server, key).await, expected, "{key}");
    }
    std::fs::write(keys.join("..2/ann"), "tenant = 1\n").unwrap();
    logged(&server, NOT_TAKEN, 1).await;
    assert!(server.log().contains("ann: line 1"), "{}", server.log());
    assert_eq!(status(&server, "ann").await, 200);
}
