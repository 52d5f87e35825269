//! Removal of the content of deleted sessions.

use std::sync::Arc;

use talkgraph_domain::time::now;
use talkgraph_domain::{File, FileId, Part, SessionId};
use talkgraph_store::{NewKey, Purge, SessionTarget, StoreError};

use crate::child_runs::child;
use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, later, span, text_parts};

/// More turns than one batch removes.
const TURNS: usize = 70;

/// Removes all that is to be removed. Returns how many batches that took.
async fn purge_all(scene: &Scene) -> usize {
    let mut batches = 0;
    loop {
        let sessions = scene.store.sessions_to_purge(10).await.unwrap();
        if sessions.is_empty() {
            return batches;
        }
        let before = batches;
        for session in sessions {
            loop {
                match scene.store.purge_session(session, now()).await.unwrap() {
                    Purge::Blocked => break,
                    Purge::Done => {
                        batches += 1;
                        break;
                    }
                    Purge::More => batches += 1,
                }
            }
        }
        assert!(batches > before, "all of them are blocked");
    }
}

async fn delete(scene: &Scene, session: SessionId) {
    let deleted = scene.store.delete_session(&scene.who, session).await;
    deleted.unwrap();
}

const TABLES: [&str; 6] = [
    "messages",
    "runs",
    "run_events",
    "interrupts",
    "summaries",
    "files",
];

async fn left(database: &Database) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in TABLES {
        counts.push(database.count(table).await);
    }
    counts
}

pub(crate) async fn a_deleted_session_is_removed_to_its_tombstone(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, stays) = (&scene.store, scene.session().await.id);
    scene.turn(stays).await;
    let kept = left(&database).await;
    let session = scene.session().await.id;
    for _ in 0..TURNS {
        scene.turn(session).await;
    }
    let mut keyed = scene.new_run(SessionTarget::Existing(session), "Hello");
    keyed.key = Some(NewKey {
        key: "a client's words".to_owned(),
        fingerprint: [7; 32],
        lifetime: span(60),
    });
    let started = store.start_run(keyed).await.unwrap();
    store
        .finish_run(scene.end(&started, 2, "Hi"))
        .await
        .unwrap();

    delete(&scene, session).await;
    let words = "sessions WHERE title IS NOT NULL";
    assert_eq!(database.count(words).await, 1, "the tombstone has no title");
    let batches = purge_all(&scene).await;
    assert!(batches > 4, "{batches} batches");
    assert_eq!(left(&database).await, kept);
    assert_eq!(scene.read(stays).await.unwrap().branch_length, 2);
    // The key refers to the run under its digest.
    let key = store
        .kept_key(&scene.who, "a client's words", span(0))
        .await;
    assert_eq!(key.unwrap().unwrap().run, started.run.id);
    let words = "idempotency_keys WHERE key NOT LIKE 'sha256:%'";
    assert_eq!(database.count(words).await, 0);

    let even = store.sessions_even_deleted(&scene.who, &[session]).await;
    assert!(even.unwrap()[0].deleted_at.is_some());
    assert_eq!(store.forget_tombstones(later(-60), 10).await.unwrap(), 0);
    assert_eq!(store.forget_tombstones(later(60), 10).await.unwrap(), 1);
    assert_eq!(database.count("sessions").await, 1);
}

pub(crate) async fn a_child_that_is_active_ends_with_its_session(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let kept = left(&database).await;
    let parent = scene.start_new().await;
    let first = child(&scene, &parent, 1).await;
    let grandchild = child(&scene, &first, 2).await;
    let said = scene.new_events(deltas(&grandchild.run, 2..=4));
    scene.append(said).await.unwrap();
    scene
        .store
        .finish_run(scene.end(&parent, 2, "Hi"))
        .await
        .unwrap();
    delete(&scene, parent.session.id).await;
    // Its node can write nothing more, and no other takes it up.
    let late = scene.new_events(deltas(&grandchild.run, 5..=5));
    let refused = scene.append(late).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let end = scene.store.finish_run(scene.end(&first, 2, "Hi")).await;
    assert!(matches!(end, Err(StoreError::Conflict)), "{end:?}");
    let far = span(1_000_000);
    let taken = scene.store.take_expired_runs(scene.node, far, far, 10);
    assert!(taken.await.unwrap().is_empty());
    purge_all(&scene).await;
    assert_eq!(left(&database).await, kept);
}

pub(crate) async fn what_a_fork_shows_stays(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, who) = (&scene.store, &scene.who);
    let file = |name: &str| File {
        id: FileId::new(),
        name: Some(name.to_owned()),
        mime_type: "text/plain".to_owned(),
        content: b"content"[..].into(),
    };
    let (shared, own) = (file("shared"), file("own"));
    store
        .save_files(who, &[shared.clone(), own.clone()])
        .await
        .unwrap();
    let session = scene.session().await.id;
    let mut answers = Vec::new();
    for file in [&shared, &own] {
        let mut run = scene.new_run(SessionTarget::Existing(session), "Look");
        run.parts = text_parts("Look");
        run.parts.push(Part::File {
            id: file.id,
            name: file.name.clone(),
            mime_type: file.mime_type.clone(),
            bytes: 7,
        });
        let started = store.start_run(run).await.unwrap();
        let end = scene.end(&started, 2, "Hi");
        store.finish_run(end.clone()).await.unwrap();
        answers.push(end.message.unwrap().id);
    }
    let fork = SessionId::new();
    store
        .fork_session(who, answers[0], fork, None)
        .await
        .unwrap();
    let again = SessionId::new();
    let head = scene.read(fork).await.unwrap().head.unwrap();
    store.fork_session(who, head, again, None).await.unwrap();

    let there = async || {
        let ids = [shared.id, own.id];
        let files = store.files_by_id(who, &ids).await.unwrap();
        files.into_iter().map(|file| file.id).collect::<Vec<_>>()
    };
    for deleted in [session, fork] {
        delete(&scene, deleted).await;
        purge_all(&scene).await;
        assert_eq!(there().await, [shared.id]);
    }
    assert_eq!(scene.read(again).await.unwrap().branch_length, 2);
    delete(&scene, again).await;
    purge_all(&scene).await;
    assert!(there().await.is_empty());
    assert_eq!(left(&database).await, [0; 6]);
}
