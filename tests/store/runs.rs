use std::sync::Arc;

use futures_util::future::join_all;
use talkgraph_domain::{FinishReason, NodeId, RunError, RunErrorCode, RunStatus, SessionId};
use talkgraph_store::{BranchRange, SessionTarget, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, later, text_parts};

pub(crate) async fn a_run_starts_in_a_new_session(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let new = scene.new_run(SessionTarget::New(scene.new_session()), "Hello");
    let started = scene.store.start_run(new.clone()).await.unwrap();
    let session = scene.read(new.session.id()).await.unwrap();
    assert_eq!(session.title.as_deref(), Some("Hello"));
    assert_eq!(
        (session.head, session.branch_length),
        (Some(new.message_id), 1)
    );
    assert_eq!(session.updated_at, started.session.updated_at);

    let messages = scene
        .store
        .messages_by_id(&scene.who, &[new.message_id])
        .await
        .unwrap();
    assert_eq!(messages[0].parts, text_parts("Hello"));
    assert_eq!((messages[0].parent_id, messages[0].position), (None, 0));
    assert_eq!(messages[0].run_id, new.run.id);

    let run = scene.read_run(new.run.id).await.unwrap();
    assert_eq!((run.status, run.last_sequence), (RunStatus::Queued, 1));
    assert_eq!(run.created_at, new.run.created_at);
    assert_eq!(run.output_message_id, new.run.output_message_id);
    assert_eq!(scene.log(run.id).await, [(*new.events[0]).clone()]);
}

pub(crate) async fn a_run_starts_in_a_session_that_is_there(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await;
    let answer = scene.turn(session.id).await;
    let second = scene.new_run(SessionTarget::Existing(session.id), "Second");
    let started = scene.store.start_run(second).await.unwrap();
    assert_eq!(
        (started.message.parent_id, started.message.position),
        (Some(answer.id), 2)
    );
    let read = scene.read(session.id).await.unwrap();
    assert_eq!(
        (read.head, read.branch_length),
        (Some(started.message.id), 3)
    );
    assert_eq!(read.title.as_deref(), Some("Hello"), "the first one stays");
    assert_eq!(read.updated_at, started.session.updated_at);
}

pub(crate) async fn a_session_has_one_active_run(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let first = scene.start_new().await;
    let session = first.session.id;
    let second = scene.start(session).await;
    assert!(matches!(second, Err(StoreError::ActiveRun(id)) if id == first.run.id));
    assert_eq!(
        scene.read(session).await.unwrap().head,
        Some(first.message.id)
    );
    let store = &scene.store;
    assert_eq!(scene.active(&[session]).await, [first.run.id]);
    store.finish_run(scene.end(&first, 2, "Hi")).await.unwrap();
    assert!(scene.active(&[session]).await.is_empty());
    scene.start(session).await.unwrap();
}

pub(crate) async fn of_many_starts_in_a_session_one_succeeds(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let second_node = scene.another_node(&database).await;
    let session = scene.session().await.id;
    let starts = (0..100).map(|n| match n % 2 {
        0 => scene.start(session),
        _ => second_node.start(session),
    });
    let outcomes = join_all(starts).await;
    let winners: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    for outcome in &outcomes {
        match outcome {
            Ok(_) => {}
            Err(StoreError::ActiveRun(run)) => assert_eq!(*run, winners[0].run.id),
            Err(error) => panic!("{error}"),
        }
    }
    let session = scene.read(session).await.unwrap();
    assert_eq!(
        (session.head, session.branch_length),
        (Some(winners[0].message.id), 1)
    );
}

pub(crate) async fn starts_in_many_sessions_all_succeed(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let sessions = join_all((0..40).map(|_| scene.session())).await;
    let existing = sessions
        .iter()
        .map(|s| SessionTarget::Existing(s.id))
        .collect::<Vec<_>>();
    let new = (0..37).map(|_| SessionTarget::New(scene.new_session()));
    let starts = existing.into_iter().chain(new).map(|target| {
        let run = scene.new_run(target, "Hello");
        scene.store.start_run(run)
    });
    let started: Vec<_> = join_all(starts)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let ids: Vec<SessionId> = started.iter().map(|s| s.session.id).collect();
    assert_eq!(scene.active(&ids).await.len(), 77);
    for one in &started {
        assert_eq!(scene.sequences(one.run.id).await, [1]);
    }
}

pub(crate) async fn a_run_begins_and_ends(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let mut first = scene.new_events(deltas(&started.run, 2..=4));
    first.started_at = Some(later(0));
    scene.append(first.clone()).await.unwrap();
    let run = scene.read_run(started.run.id).await.unwrap();
    assert_eq!((run.status, run.last_sequence), (RunStatus::Running, 4));
    assert_eq!(run.started_at, first.started_at);

    let mut end = scene.end(&started, 5, "The answer");
    end.run.model = "other/fallen-back-to".to_owned();
    scene.store.finish_run(end.clone()).await.unwrap();
    let run = scene.read_run(started.run.id).await.unwrap();
    assert_eq!((run.status, run.last_sequence), (RunStatus::Completed, 5));
    assert_eq!(run.finish_reason, Some(FinishReason::Stop));
    assert_eq!((run.usage, run.error), (end.run.usage, None));
    assert_eq!(run.model, end.run.model);
    assert_eq!(run.finished_at, end.run.finished_at);
    assert_eq!(scene.sequences(run.id).await, [1, 2, 3, 4, 5]);

    let session = scene.read(started.session.id).await.unwrap();
    let answer = end.message.unwrap();
    assert_eq!((session.head, session.branch_length), (Some(answer.id), 2));
    assert_eq!(session.updated_at, answer.created_at);
    let stored = scene.store.messages_by_id(&scene.who, &[answer.id]).await;
    let stored = stored.unwrap();
    assert_eq!(stored[0].text(), "The answer");
    assert_eq!(stored[0].finish_reason, Some(FinishReason::Stop));
    assert_eq!(stored[0].created_at, answer.created_at);
}

pub(crate) async fn a_run_fails_with_its_reason(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let mut end = scene.end(&started, 2, "");
    end.run.status = RunStatus::Failed;
    end.run.finish_reason = Some(FinishReason::Error);
    end.run.error = Some(RunError {
        code: RunErrorCode::ProviderRateLimited,
        message: "The provider gets too many requests.".into(),
        retryable: true,
    });
    end.message = None;
    scene.store.finish_run(end.clone()).await.unwrap();
    let run = scene.read_run(started.run.id).await.unwrap();
    assert_eq!((run.status, run.error), (RunStatus::Failed, end.run.error));
    let session = scene.read(started.session.id).await.unwrap();
    assert_eq!(session.head, Some(started.message.id), "no answer to show");
}

pub(crate) async fn only_its_node_ends_a_run_and_only_once(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let mut foreign = scene.end(&started, 2, "Not mine");
    foreign.node = NodeId::new();
    let refused = scene.store.finish_run(foreign).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(scene.sequences(started.run.id).await, [1]);

    // At the same time, and so perhaps in one group.
    let ends = ["one", "two", "three"].map(|text| {
        let mut end = scene.end(&started, 2, text);
        end.message.as_mut().unwrap().id = talkgraph_domain::MessageId::new();
        scene.store.finish_run(end)
    });
    let outcomes = join_all(ends).await;
    let ended = outcomes.iter().filter(|o| o.is_ok()).count();
    let refused = outcomes
        .iter()
        .filter(|o| matches!(o, Err(StoreError::Conflict)))
        .count();
    assert_eq!((ended, refused), (1, 2), "{outcomes:?}");
    assert_eq!(scene.sequences(started.run.id).await, [1, 2]);
    let session = scene.read(started.session.id).await.unwrap();
    assert_eq!(session.branch_length, 2);

    let late = scene.store.finish_run(scene.end(&started, 3, "late")).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

pub(crate) async fn an_answer_to_an_older_head_does_not_become_the_head(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let answer = scene.turn(session).await;
    let started = scene.start(session).await.unwrap();
    database.set_head(session.uuid(), answer.id.uuid(), 2).await;
    let end = scene.end(&started, 2, "Too late");
    scene.store.finish_run(end.clone()).await.unwrap();
    let read = scene.read(session).await.unwrap();
    assert_eq!((read.head, read.branch_length), (Some(answer.id), 2));
    let id = end.message.unwrap().id;
    let kept = scene.store.messages_by_id(&scene.who, &[id]).await.unwrap();
    assert_eq!(kept.len(), 1, "it is kept all the same");
}

pub(crate) async fn a_session_with_an_active_run_stays(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let session = started.session.id;
    let deleted = scene.store.delete_session(&scene.who, session).await;
    assert!(matches!(deleted, Err(StoreError::ActiveRun(id)) if id == started.run.id));
    assert!(scene.read(session).await.is_some());
    let end = scene.end(&started, 2, "Hi");
    scene.store.finish_run(end).await.unwrap();
    let deleted = scene.store.delete_session(&scene.who, session).await;
    deleted.unwrap();
}

pub(crate) async fn a_deleted_session_hides_what_was_in_it(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, who) = (&scene.store, &scene.who);
    let started = scene.start_new().await;
    let end = scene.end(&started, 2, "Hi");
    store.finish_run(end).await.unwrap();
    let range = BranchRange {
        session: started.session.id,
        head: started.run.output_message_id,
        from: 0,
        to: 2,
    };
    let messages = [started.message.id, started.run.output_message_id];
    assert_eq!(
        store.branches(who, &[range], u64::MAX).await.unwrap()[0].len(),
        2
    );
    store.delete_session(who, started.session.id).await.unwrap();
    assert!(scene.read_run(started.run.id).await.is_none());
    assert!(scene.log(started.run.id).await.is_empty());
    assert!(
        store
            .messages_by_id(who, &messages)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.branches(who, &[range], u64::MAX).await.unwrap()[0].is_empty());
}

pub(crate) async fn a_run_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        assert!(other.read_run(started.run.id).await.is_none());
        let sessions = [started.session.id];
        assert!(other.active(&sessions).await.is_empty());
        // Not even that there is an active run is told.
        let second = other.start(started.session.id).await;
        assert!(matches!(second, Err(StoreError::NotFound)), "{second:?}");
    }
}
