//! Summaries: of one branch, kept with the event that tells of them.

use std::sync::Arc;

use talkgraph_domain::{EventBody, FinishReason, Message, MessageId, RunEvent, RunId, Summary};
use talkgraph_store::{RunInput, SessionTarget};

use crate::support::database::Database;
use crate::support::scene::{Scene, event};

fn of(message: &Message, text: &str) -> Summary {
    Summary {
        session_id: message.session_id,
        message_id: message.id,
        position: message.position,
        text: text.to_owned(),
    }
}

fn told(run: RunId, sequence: u64, summary: &Summary) -> Arc<RunEvent> {
    let body = EventBody::StepFinished {
        step: 1,
        finish_reason: FinishReason::Stop,
        model: None,
        usage: None,
        cost: None,
        summary: Some(Box::new(summary.clone())),
    };
    event(run, sequence, body)
}

/// Keeps a summary, in a run of a session of its own.
async fn keep(scene: &Scene, summary: &Summary) {
    let run = scene.start_new().await.run.id;
    let events = scene.new_events(vec![told(run, 2, summary)]);
    scene.append(events).await.unwrap();
}

async fn known(scene: &Scene, head: MessageId) -> Option<Summary> {
    let found = scene.store.summary_of_branch(&scene.who, head).await;
    found.unwrap()
}

pub(crate) async fn a_summary_comes_with_its_event(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let message = scene.turn(session).await;
    let summary = of(&message, "é \" \\ 'quoted' 🦀\nnext");
    let started = scene.start(session).await.unwrap();
    // It does not follow the log; another node has the run.
    let stranger = scene.another_node(&database).await;
    let wrong = scene.new_events(vec![told(started.run.id, 9, &summary)]);
    assert!(scene.append(wrong).await.is_err());
    let wrong = stranger.new_events(vec![told(started.run.id, 2, &summary)]);
    assert!(scene.append(wrong).await.is_err());
    assert_eq!(known(&scene, message.id).await, None);

    let right = told(started.run.id, 2, &summary);
    let mut events = scene.new_events(vec![Arc::clone(&right)]);
    events.mends_log = true;
    scene.append(events).await.unwrap();
    assert_eq!(known(&scene, message.id).await, Some(summary.clone()));
    assert_eq!(scene.log(started.run.id).await[1], *right);
    // One that could not be written before comes with the end, in place of the older one.
    let newer = of(&message, "Newer.");
    let mut end = scene.end(&started, 4, "Hi");
    end.events.insert(0, told(started.run.id, 3, &newer));
    end.mends_log = true;
    scene.store.finish_run(end).await.unwrap();
    assert_eq!(known(&scene, message.id).await, Some(newer));

    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        assert_eq!(known(&other, message.id).await, None);
    }
    scene
        .store
        .delete_session(&scene.who, session)
        .await
        .unwrap();
    assert_eq!(known(&scene, message.id).await, None);
}

pub(crate) async fn a_summary_holds_for_the_branches_through_its_message(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let (first, second) = (scene.turn(session).await, scene.turn(session).await);
    // A branch beside the second turn.
    let ids = [second.parent_id.unwrap()];
    let beside = scene.store.messages_by_id(&scene.who, &ids);
    let beside = beside.await.unwrap().pop().unwrap();
    let mut run = scene.new_run(SessionTarget::Existing(session), "Else");
    run.input = RunInput::Beside(beside);
    let started = scene.store.start_run(run).await.unwrap();
    let end = scene.end(&started, 2, "Hi");
    scene.store.finish_run(end.clone()).await.unwrap();
    let other = end.message.unwrap();

    assert_eq!(known(&scene, second.id).await, None);
    keep(&scene, &of(&second, "Two.")).await;
    assert_eq!(known(&scene, second.id).await.unwrap().text, "Two.");
    for head in [first.id, other.id, started.message.id] {
        assert_eq!(known(&scene, head).await, None);
    }
    keep(&scene, &of(&first, "One.")).await;
    for (head, text) in [
        (first.id, "One."),
        (other.id, "One."),
        (started.message.id, "One."),
        (second.id, "Two."),
    ] {
        assert_eq!(known(&scene, head).await.unwrap().text, text);
    }
}

pub(crate) async fn a_fork_has_the_summary_of_what_it_copies(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let (first, second) = (scene.turn(session).await, scene.turn(session).await);
    let third = scene.turn(session).await;
    keep(&scene, &of(&second, "Two.")).await;
    let (store, who) = (&scene.store, &scene.who);
    let fork = async |message: &Message| {
        let id = scene.new_session().id;
        store.fork_session(who, message.id, id, None).await.unwrap()
    };
    let early = fork(&first).await;
    assert_eq!(known(&scene, early.head.unwrap()).await, None);
    let late = fork(&third).await;
    let copied = known(&scene, late.head.unwrap()).await.unwrap();
    assert_eq!((copied.session_id, copied.position), (late.id, 3));
    assert_eq!(copied.text, "Two.");
    // Whatever becomes of the other.
    store.delete_session(who, session).await.unwrap();
    assert_eq!(known(&scene, late.head.unwrap()).await, Some(copied));
}

pub(crate) async fn a_session_keeps_a_few_summaries(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (session, other) = (scene.session().await.id, scene.session().await.id);
    let elsewhere = scene.turn(other).await;
    keep(&scene, &of(&elsewhere, "Else.")).await;
    let mut messages = Vec::new();
    for _ in 0..9 {
        messages.push(scene.turn(session).await);
    }
    for message in &messages {
        keep(&scene, &of(message, "Kept.")).await;
    }
    let is_known = async |at: usize| known(&scene, messages[at].id).await.is_some();
    assert!(!is_known(0).await, "the oldest made room");
    assert!(is_known(1).await && is_known(8).await);
    assert!(known(&scene, elsewhere.id).await.is_some());
}
