//! Space on SQLite: what is deleted goes back to the file system, and the log stays short.

use std::sync::Arc;

use talkgraph_domain::time::now;
use talkgraph_domain::{File, FileId};
use talkgraph_store::Purge;

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas};
use crate::support::wait::eventually;

/// As the tests' databases have it, and what commits may add before they have to wait.
const MOST_LOG: u64 = 3 * 1024 * 1024;

fn log_bytes(database: &Database) -> u64 {
    let mut path = database.sqlite_path().into_os_string();
    path.push("-wal");
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn file_bytes(database: &Database) -> u64 {
    std::fs::metadata(database.sqlite_path()).unwrap().len()
}

async fn is_incremental(database: &Database) -> bool {
    let found = database.count("pragma_auto_vacuum WHERE auto_vacuum = 2");
    found.await == 1
}

pub(crate) async fn what_is_deleted_goes_back_to_the_file_system(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, who) = (&scene.store, &scene.who);
    assert!(is_incremental(&database).await);
    let large = File {
        id: FileId::new(),
        name: None,
        mime_type: "text/plain".to_owned(),
        content: vec![b'x'; 1 << 20].into(),
    };
    let mut ids = Vec::new();
    for _ in 0..24 {
        let file = File {
            id: FileId::new(),
            ..large.clone()
        };
        ids.push(file.id);
        store.save_files(who, &[file]).await.unwrap();
    }
    let session = scene.session().await.id;
    scene.turn(session).await;
    // The file itself grows with a checkpoint, which `scrub` asks for.
    store.scrub().await.unwrap();
    let full = eventually("the file to grow", async || {
        let bytes = file_bytes(&database);
        (bytes > 24 << 20).then_some(bytes)
    })
    .await;
    store.delete_files(who, &ids).await.unwrap();
    let mut steps = 0;
    while store.give_back().await.unwrap() {
        steps += 1;
        // In between others write.
        if steps == 10 {
            scene.turn(session).await;
        }
    }
    assert!(steps > 20, "{steps} steps");
    store.scrub().await.unwrap();
    eventually("the file to shrink", async || {
        (file_bytes(&database) < full / 3).then_some(())
    })
    .await;
    assert_eq!(scene.read(session).await.unwrap().branch_length, 4);
}

pub(crate) async fn a_database_of_an_earlier_release_is_adopted(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    scene.turn(session).await;
    scene.store.close().await;
    database
        .run_beside("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM")
        .await;
    assert!(!is_incremental(&database).await);
    drop(scene.store);
    let scene = Scene::new(&database).await;
    assert!(is_incremental(&database).await);
    assert_eq!(scene.read(session).await.unwrap().branch_length, 2);
}

pub(crate) async fn the_log_stays_short(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let mut sequence = 2;
    let mut written = 0;
    while written < 8 * MOST_LOG {
        let events = deltas(&started.run, sequence..=sequence + 999);
        sequence += 1_000;
        // Some 150 bytes each, in pages that are written more than once.
        written += 150_000;
        scene.append(scene.new_events(events)).await.unwrap();
        let bytes = log_bytes(&database);
        assert!(bytes < 2 * MOST_LOG, "{bytes} bytes");
    }
    // At rest it is nothing.
    eventually("the log to be cut", async || {
        (log_bytes(&database) == 0).then_some(())
    })
    .await;
}

pub(crate) async fn a_deletion_leaves_no_trace(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    // Rows of many sizes, so that SQLite moves them between its pages.
    let (mut gone, mut stays) = (Vec::new(), Vec::new());
    for number in 0..120_usize {
        let word = format!("canary{number:03}{:016x}", fastrand::u64(..));
        let session = scene.session().await.id;
        for round in 0..3 {
            let change = talkgraph_store::SessionChange {
                title: Some(Some(format!("{word}{}", "t".repeat(37 * number % 90)))),
                metadata: Some(serde_json::json!({ "of": word.repeat(1 + round + number % 5) })),
            };
            let changed = scene.store.update_session(&scene.who, session, change);
            changed.await.unwrap();
            scene.turn(session).await;
        }
        match number % 3 {
            0 => stays.push(word),
            _ => gone.push((session, word)),
        }
    }
    for (session, _) in &gone {
        let deleted = scene.store.delete_session(&scene.who, *session).await;
        deleted.unwrap();
        while scene.store.purge_session(*session, now()).await.unwrap() != Purge::Done {}
    }
    scene.store.scrub().await.unwrap();
    let gone: Vec<_> = gone.into_iter().map(|(_, word)| word).collect();
    eventually("no trace to be left", async || {
        // Once nothing is committed for a while it rewrites the database.
        scene.store.give_back().await.unwrap();
        database.found(&gone).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(database.found(&stays).await, stays);
}
