use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use talkgraph_domain::{AgentId, RunStatus};
use talkgraph_store::{SessionTarget, StartedRun, StoreError, WriterSettings};

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas};
use crate::support::wait::eventually;

pub(crate) async fn a_bad_member_is_refused_alone(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let running = scene.start_new().await;
    let ending = scene.start_new().await;
    let mut bad = scene.new_run(SessionTarget::New(scene.new_session()), "Hello");
    if let SessionTarget::New(session) = &mut bad.session {
        session.agent_id = AgentId::new();
    }
    let bad_session = bad.session.id();
    let good = scene.new_run(SessionTarget::New(scene.new_session()), "Hello");
    let events = scene.new_events(deltas(&running.run, 2..=3));
    let end = scene.end(&ending, 2, "Hi");
    let (good, bad, events, end) = tokio::join!(
        scene.store.start_run(good),
        scene.store.start_run(bad),
        scene.append(events),
        scene.store.finish_run(end),
    );
    assert!(matches!(bad, Err(StoreError::Internal(_))), "{bad:?}");
    assert!(scene.read(bad_session).await.is_none());
    let good = good.unwrap();
    assert_eq!(scene.sequences(good.run.id).await, [1]);
    events.unwrap();
    assert_eq!(scene.sequences(running.run.id).await, [1, 2, 3]);
    end.unwrap();
    let ended = scene.read_run(ending.run.id).await.unwrap();
    assert_eq!(ended.status, RunStatus::Completed);
}

pub(crate) async fn events_after_a_refused_event_of_the_same_group_are_refused(
    database: Arc<Database>,
) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let other = scene.start_new().await;
    // 1 is there already.
    let twice = scene.new_events(deltas(&started.run, 1..=2));
    let after = scene.new_events(deltas(&started.run, 3..=4));
    let last = scene.end(&started, 5, "Hi");
    let fine = scene.new_events(deltas(&other.run, 2..=2));
    let (twice, after, fine, last) = tokio::join!(
        scene.append(twice),
        scene.append(after),
        scene.append(fine),
        scene.store.finish_run(last),
    );
    assert!(twice.is_err() && after.is_err() && last.is_err());
    fine.unwrap();
    assert_eq!(scene.sequences(started.run.id).await, [1]);
    let run = scene.read_run(started.run.id).await.unwrap();
    assert!(!run.status.is_terminal());
}

pub(crate) async fn runs_are_told_apart_within_a_group(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = join_all((0..50).map(|_| scene.start_new())).await;
    let turns = started.iter().map(async |one| {
        // Queued without waiting, as a model's tokens come.
        let appends =
            (1..=6).map(|n| scene.append(scene.new_events(deltas(&one.run, 2 * n..=2 * n + 1))));
        let end = scene.store.finish_run(scene.end(one, 14, "Hi"));
        let (appended, ended) = tokio::join!(join_all(appends), end);
        appended.into_iter().for_each(Result::unwrap);
        ended.unwrap();
    });
    join_all(turns).await;
    let expected: Vec<u64> = (1..=14).collect();
    for one in &started {
        let log = scene.log(one.run.id).await;
        let sequences: Vec<_> = log.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, expected);
        assert!(log.iter().all(|event| event.run_id == one.run.id));
        assert!(log[13].body.is_terminal());
    }
}

pub(crate) async fn groups_of_events_have_any_size(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = join_all((0..70).map(|_| scene.start_new())).await;
    for (size, sequence) in [1, 2, 3, 31, 32, 33, 64, 65, 70].into_iter().zip(2..) {
        let events = |one: &StartedRun| scene.new_events(deltas(&one.run, sequence..=sequence));
        // One that was there before takes none of the others down with it.
        let again = scene.append(scene.new_events(deltas(&started[0].run, 1..=1)));
        let appends = started[1..size].iter().map(|one| scene.append(events(one)));
        let (again, appended) = tokio::join!(again, join_all(appends));
        assert!(again.is_err());
        appended.into_iter().for_each(Result::unwrap);
        for one in &started[size..] {
            scene.append(events(one)).await.unwrap();
        }
    }
    let expected: Vec<u64> = (1..=10).collect();
    assert_eq!(scene.sequences(started[0].run.id).await, [1]);
    for one in &started[1..] {
        assert_eq!(scene.sequences(one.run.id).await, expected);
    }
}

pub(crate) async fn commits_reach_the_database_file(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let question = "Does this leave the write-ahead log?";
    let new = scene.new_run(SessionTarget::New(scene.new_session()), question);
    scene.store.start_run(new).await.unwrap();
    let path = database.sqlite_path();
    eventually("the commit in the database file", async || {
        let file = std::fs::read(&path).unwrap();
        memchr::memmem::find(&file, question.as_bytes())
    })
    .await;
}

pub(crate) async fn closing_commits_what_is_queued(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let (sender, mut replies) = tokio::sync::mpsc::channel(100);
    for n in 2..=51 {
        let sender = sender.clone();
        let done = Box::new(move |outcome: Result<(), StoreError>| {
            sender.try_send(outcome).unwrap();
        });
        let events = scene.new_events(deltas(&started.run, n..=n));
        scene.store.append_events(events, done).await.unwrap();
    }
    drop(sender);
    scene.store.close().await;
    let mut told = 0;
    while let Some(outcome) = replies.recv().await {
        outcome.unwrap();
        told += 1;
    }
    assert_eq!(told, 50);
    let again = scene.another_node(&database).await;
    assert_eq!(again.log(started.run.id).await.len(), 51);
}

pub(crate) async fn a_closed_store_refuses(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    scene.store.ping().await.unwrap();
    let started = scene.start_new().await;
    scene.store.close().await;
    scene.store.close().await;
    let start = scene.start(started.session.id).await;
    assert!(
        matches!(start, Err(StoreError::Unavailable(_))),
        "{start:?}"
    );
    let append = scene
        .append(scene.new_events(deltas(&started.run, 2..=2)))
        .await;
    assert!(
        matches!(append, Err(StoreError::Unavailable(_))),
        "{append:?}"
    );
    let ping = scene.store.ping().await;
    assert!(matches!(ping, Err(StoreError::Unavailable(_))), "{ping:?}");
}

pub(crate) async fn a_full_queue_refuses_after_its_time(database: Arc<Database>) {
    let store = database
        .open_with(WriterSettings {
            queue: 1,
            group: 1,
            queue_timeout: Duration::ZERO,
            batch_window: Duration::ZERO,
        })
        .await;
    let scene = Scene::on(store).await;
    let outcomes = join_all((0..50).map(|_| {
        let run = scene.new_run(SessionTarget::New(scene.new_session()), "Hello");
        scene.store.start_run(run)
    }))
    .await;
    let (accepted, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(!accepted.is_empty() && !refused.is_empty());
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    for started in accepted.into_iter().flatten() {
        assert!(scene.read_run(started.run.id).await.is_some());
    }
}
