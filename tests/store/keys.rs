use std::sync::Arc;

use futures_util::future::join_all;
use talkgraph_domain::time::now;
use talkgraph_domain::{MessageId, RunStatus};
use talkgraph_store::{KeptKey, NewKey, NewRun, Rewind, SessionTarget, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, span};

/// A run in a new session under a key that lasts a minute; `what` is what is asked for.
fn keyed(scene: &Scene, key: &str, what: u8) -> NewRun {
    let mut run = scene.new_run(SessionTarget::New(scene.new_session()), "Hello");
    run.key = Some(NewKey {
        key: key.to_owned(),
        fingerprint: [what; 32],
        lifetime: span(60),
    });
    run
}

async fn kept(scene: &Scene, key: &str, seconds: i64) -> Option<KeptKey> {
    let store = &scene.store;
    let kept = store.kept_key(&scene.who, key, span(seconds)).await;
    kept.unwrap()
}

pub(crate) async fn a_key_is_written_with_its_run(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let first = keyed(&scene, "k", 1);
    let run = scene.store.start_run(first).await.unwrap().run;
    let stands_for = KeptKey {
        fingerprint: vec![1; 32],
        run: run.id,
    };
    assert_eq!(kept(&scene, "k", 0).await, Some(stands_for));
    assert_eq!(kept(&scene, "K", 0).await, None);

    let again = keyed(&scene, "k", 1);
    let session = again.session.id();
    let outcome = scene.store.start_run(again).await;
    assert!(matches!(outcome, Err(StoreError::Repeated(id)) if id == run.id));
    assert!(scene.read(session).await.is_none(), "nothing is written");
    let outcome = scene.store.start_run(keyed(&scene, "k", 2)).await;
    assert!(matches!(outcome, Err(StoreError::KeyReused)), "{outcome:?}");
    scene.store.start_run(keyed(&scene, "l", 1)).await.unwrap();
}

pub(crate) async fn of_many_starts_with_a_key_one_succeeds(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let second = scene.another_node(&database).await;
    let starts = (0..100_u8).map(|n| {
        let node = if n % 2 == 0 { &scene } else { &second };
        // One in four asks for something else.
        let what = u8::from(n % 4 == 3);
        async move { (what, node.store.start_run(keyed(node, "k", what)).await) }
    });
    let outcomes = join_all(starts).await;
    let won = |(_, outcome): &&(u8, Result<_, _>)| outcome.is_ok();
    assert_eq!(outcomes.iter().filter(won).count(), 1);
    let (what, winner) = outcomes.iter().find(won).unwrap();
    let winner = winner.as_ref().unwrap();
    for (asked, outcome) in &outcomes {
        match outcome {
            Ok(_) => {}
            Err(StoreError::Repeated(run)) => assert_eq!((run, asked), (&winner.run.id, what)),
            Err(StoreError::KeyReused) => assert_ne!(asked, what),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn a_refused_start_leaves_no_key(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let active = scene.start_new().await;
    let there = |what| {
        let mut run = keyed(&scene, "k", what);
        run.session = SessionTarget::Existing(active.session.id);
        run.run.session_id = active.session.id;
        run
    };
    // At the same time, and so perhaps in one group.
    let starts = (0..10).map(|_| scene.store.start_run(there(1)));
    for outcome in join_all(starts).await {
        assert!(
            matches!(outcome, Err(StoreError::ActiveRun(id)) if id == active.run.id),
            "{outcome:?}"
        );
    }
    assert_eq!(kept(&scene, "k", 0).await, None);
    let end = scene.end(&active, 2, "Hi");
    scene.store.finish_run(end).await.unwrap();
    scene.store.start_run(there(2)).await.unwrap();
}

pub(crate) async fn an_expired_key_starts_another_run(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let mut first = keyed(&scene, "k", 1);
    let key = first.key.as_mut().unwrap();
    key.lifetime = chrono::TimeDelta::microseconds(1);
    scene.store.start_run(first).await.unwrap();
    assert_eq!(kept(&scene, "k", 0).await, None);
    let second = scene.store.start_run(keyed(&scene, "k", 2)).await.unwrap();
    assert_eq!(kept(&scene, "k", 0).await.unwrap().run, second.run.id);
}

pub(crate) async fn expired_keys_are_removed_a_few_at_a_time(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let keys: Vec<_> = (0..5).map(|n| format!("k{n}")).collect();
    for key in &keys {
        scene.store.start_run(keyed(&scene, key, 1)).await.unwrap();
    }
    let mut long = keyed(&scene, "long", 1);
    long.key.as_mut().unwrap().lifetime = span(1_000);
    scene.store.start_run(long).await.unwrap();

    let forget = async |seconds, limit| {
        let removed = scene.store.forget_keys(span(seconds), limit).await;
        removed.unwrap()
    };
    assert_eq!(forget(0, 10).await, 0, "none has expired");
    assert_eq!(forget(100, 3).await, 3);
    assert_eq!(forget(100, 3).await, 2);
    assert_eq!(forget(100, 3).await, 0);
    for key in &keys {
        assert_eq!(kept(&scene, key, 0).await, None);
    }
    assert!(kept(&scene, "long", 0).await.is_some());
}

pub(crate) async fn a_key_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    scene.store.start_run(keyed(&scene, "k", 1)).await.unwrap();
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        assert_eq!(kept(&other, "k", 0).await, None);
        other.store.start_run(keyed(&other, "k", 2)).await.unwrap();
    }
}

pub(crate) async fn a_withdrawn_run_leaves_the_branch(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    for (round, text) in [(0, "Too much"), (1, "")] {
        let before = scene.turn(session).await;
        let started = scene.start(session).await.unwrap();
        let mut end = scene.end(&started, 2, text);
        end.run.status = RunStatus::Cancelled;
        if text.is_empty() {
            end.message = None;
        }
        end.rewind = Some(Rewind {
            head: Some(before.id),
            branch_length: before.position + 1,
            agent: None,
        });
        scene.store.finish_run(end.clone()).await.unwrap();
        let read = scene.read(session).await.unwrap();
        assert_eq!(
            (read.head, read.branch_length),
            (Some(before.id), 2 * (round + 1))
        );
        assert_eq!(read.updated_at, end.run.finished_at.unwrap());
        let ids = [started.message.id, end.run.output_message_id];
        let kept = scene.store.messages_by_id(&scene.who, &ids).await.unwrap();
        assert_eq!(
            kept.len(),
            1 + usize::from(!text.is_empty()),
            "kept all the same"
        );
    }

    // A branch that somebody has gone on with meanwhile stays.
    let started = scene.start(session).await.unwrap();
    let before = started.message.parent_id.unwrap();
    database.set_head(session.uuid(), before.uuid(), 4).await;
    let mut end = scene.end(&started, 2, "Late");
    end.run.finished_at = Some(now());
    end.rewind = Some(Rewind {
        head: Some(MessageId::new()),
        branch_length: 1,
        agent: None,
    });
    scene.store.finish_run(end).await.unwrap();
    let read = scene.read(session).await.unwrap();
    assert_eq!((read.head, read.branch_length), (Some(before), 4));
}
