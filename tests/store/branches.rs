use std::sync::Arc;

use futures_util::future::join_all;
use talkgraph_domain::{Message, MessageId, SessionId};
use talkgraph_store::{RunInput, SessionTarget, Siblings, StartedRun, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, text_parts};

/// Starts a run at a message of a session.
async fn start_at(
    scene: &Scene,
    session: SessionId,
    input: RunInput,
) -> Result<StartedRun, StoreError> {
    let mut run = scene.new_run(SessionTarget::Existing(session), "Instead");
    if let RunInput::Again(message) = &input {
        run.message_id = message.id;
        run.run.input_message_id = message.id;
        run.parts.clone_from(&message.parts);
    }
    run.input = input;
    scene.store.start_run(run).await
}

/// The same to its end; returns the answer.
async fn turn_at(scene: &Scene, session: SessionId, input: RunInput) -> Message {
    let started = start_at(scene, session, input).await.unwrap();
    end(scene, &started).await
}

async fn end(scene: &Scene, started: &StartedRun) -> Message {
    let end = scene.end(started, 2, "Hi again");
    scene.store.finish_run(end.clone()).await.unwrap();
    end.message.unwrap()
}

async fn message(scene: &Scene, id: MessageId) -> Message {
    let found = scene.store.messages_by_id(&scene.who, &[id]).await;
    found.unwrap().pop().unwrap()
}

/// The message that an answer answers.
async fn asked(scene: &Scene, answer: &Message) -> Message {
    message(scene, answer.parent_id.unwrap()).await
}

async fn head(scene: &Scene, session: SessionId) -> (Option<MessageId>, i32) {
    let session = scene.read(session).await.unwrap();
    (session.head, session.branch_length)
}

async fn siblings(scene: &Scene, of: &[Siblings], limit: u32) -> Vec<Vec<MessageId>> {
    scene.store.siblings(&scene.who, of, limit).await.unwrap()
}

pub(crate) async fn a_message_is_answered_again(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let first = scene.turn(session).await;
    let last = scene.turn(session).await;
    let asked = asked(&scene, &first).await;

    let started = start_at(&scene, session, RunInput::Again(asked.clone()))
        .await
        .unwrap();
    assert_eq!(started.message.id, asked.id);
    assert_eq!(head(&scene, session).await, (Some(asked.id), 1));
    assert_eq!(started.session.branch_length, 1);
    let again = end(&scene, &started).await;

    assert_eq!((again.parent_id, again.position), (Some(asked.id), 1));
    assert_eq!(head(&scene, session).await, (Some(again.id), 2));
    // Nothing of the message has changed, and the other branch is there.
    let stored = message(&scene, asked.id).await;
    assert_eq!((stored.run_id, stored.parts), (first.run_id, asked.parts));
    assert_eq!(message(&scene, last.id).await.position, 3);
}

pub(crate) async fn a_message_is_said_differently(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let first = scene.turn(session).await;
    let second = scene.turn(session).await;
    for (answer, place) in [(&second, (Some(first.id), 2)), (&first, (None, 0))] {
        let said = asked(&scene, answer).await;
        let started = start_at(&scene, session, RunInput::Beside(said.clone()))
            .await
            .unwrap();
        let new = message(&scene, started.message.id).await;
        assert_eq!((new.parent_id, new.position), place);
        assert_eq!(new.parts, text_parts("Instead"));
        assert_eq!(new.run_id, started.run.id);
        assert_eq!(head(&scene, session).await, (Some(new.id), place.1 + 1));
        let answer = end(&scene, &started).await;
        assert_eq!(head(&scene, session).await, (Some(answer.id), place.1 + 2));
        assert_eq!(message(&scene, said.id).await.parts, text_parts("Hello"));
    }
}

pub(crate) async fn starts_at_one_message_wait_for_each_other(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let second_node = scene.another_node(&database).await;
    let session = scene.session().await.id;
    let said = asked(&scene, &scene.turn(session).await).await;
    let starts = (0..30).map(|n| {
        let node = if n % 2 == 0 { &scene } else { &second_node };
        let input = match n % 3 {
            0 => RunInput::AfterHead,
            1 => RunInput::Beside(said.clone()),
            _ => RunInput::Again(said.clone()),
        };
        start_at(node, session, input)
    });
    let outcomes = join_all(starts).await;
    let winners: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    let refused = |outcome: &Result<StartedRun, StoreError>| matches!(outcome, Err(StoreError::ActiveRun(run)) if *run == winners[0].run.id);
    assert_eq!(outcomes.iter().filter(|o| refused(o)).count(), 29);
    let message = &winners[0].message;
    assert_eq!(
        head(&scene, session).await,
        (Some(message.id), message.position + 1)
    );
}

pub(crate) async fn kin_is_told_apart(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let first = scene.turn(session).await;
    let said = asked(&scene, &first).await;
    let again = turn_at(&scene, session, RunInput::Again(said.clone())).await;
    let third = turn_at(&scene, session, RunInput::Again(said.clone())).await;
    let beside = turn_at(&scene, session, RunInput::Beside(said.clone())).await;
    let other_root = beside.parent_id.unwrap();
    // A session of its own has roots of its own.
    let elsewhere = scene.session().await.id;
    let other = scene.turn(elsewhere).await;

    let answers = vec![first.id, again.id, third.id];
    let unknown = MessageId::new();
    let wanted = [
        (Siblings::Of(again.id), answers.clone()),
        (Siblings::Below(said.id), answers.clone()),
        (Siblings::Of(said.id), vec![said.id, other_root]),
        (Siblings::Of(other_root), vec![said.id, other_root]),
        (Siblings::Below(other_root), vec![beside.id]),
        (Siblings::Of(beside.id), vec![beside.id]),
        (Siblings::Below(third.id), vec![]),
        (Siblings::Of(unknown), vec![]),
        (Siblings::Below(unknown), vec![]),
        (
            Siblings::Of(other.parent_id.unwrap()),
            vec![other.parent_id.unwrap()],
        ),
        (Siblings::Of(again.id), answers),
    ];
    let of: Vec<_> = wanted.iter().map(|(one, _)| *one).collect();
    let expected: Vec<_> = wanted.iter().map(|(_, ids)| ids.clone()).collect();
    assert_eq!(siblings(&scene, &of, 100).await, expected);
    for (one, ids) in of.iter().zip(&expected) {
        assert_eq!(siblings(&scene, &[*one], 100).await[0], *ids);
    }
    assert!(siblings(&scene, &[], 100).await.is_empty());
    // Once the session is deleted there is none.
    scene
        .store
        .delete_session(&scene.who, session)
        .await
        .unwrap();
    assert!(
        siblings(&scene, &of[..9], 100)
            .await
            .iter()
            .all(Vec::is_empty)
    );
}

pub(crate) async fn the_latest_kin_is_read(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let mut ids = vec![scene.turn(session).await.id];
    let said = asked(&scene, &message(&scene, ids[0]).await).await;
    for _ in 0..4 {
        ids.push(
            turn_at(&scene, session, RunInput::Again(said.clone()))
                .await
                .id,
        );
    }
    let of = [
        Siblings::Below(said.id),
        Siblings::Of(ids[4]),
        Siblings::Of(ids[1]),
    ];
    let latest = siblings(&scene, &of, 2).await;
    assert_eq!(latest, [&ids[3..], &ids[3..], &[ids[1], ids[4]]]);
    let latest = siblings(&scene, &of, 1).await;
    assert_eq!(latest, [&ids[4..], &ids[4..], &ids[1..2]]);
}

pub(crate) async fn a_branch_is_chosen(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let first = scene.turn(session).await;
    let long = scene.turn(session).await;
    let said = asked(&scene, &first).await;
    let short = turn_at(&scene, session, RunInput::Again(said.clone())).await;
    let before = scene.read(session).await.unwrap();

    let switch = async |message: MessageId| {
        let switched = scene
            .store
            .switch_branch(&scene.who, message)
            .await
            .unwrap();
        assert_eq!(switched.id, session);
        let place = (switched.head, switched.branch_length);
        assert_eq!(place, head(&scene, session).await);
        place
    };
    assert_eq!(switch(first.id).await, (Some(long.id), 4));
    assert_eq!(switch(long.parent_id.unwrap()).await, (Some(long.id), 4));
    assert_eq!(switch(short.id).await, (Some(short.id), 2));
    // Of several leaves the one that was written last.
    assert_eq!(switch(said.id).await, (Some(short.id), 2));
    switch(first.id).await;
    let longer = scene.turn(session).await;
    assert_eq!(longer.position, 5);
    switch(short.id).await;
    assert_eq!(switch(said.id).await, (Some(longer.id), 6));

    let after = scene.read(session).await.unwrap();
    assert!(after.updated_at > before.updated_at);
    assert_eq!(
        (after.title, after.metadata),
        (before.title, before.metadata)
    );
    let unknown = scene
        .store
        .switch_branch(&scene.who, MessageId::new())
        .await;
    assert!(matches!(unknown, Err(StoreError::NotFound)));
    scene
        .store
        .delete_session(&scene.who, session)
        .await
        .unwrap();
    let gone = scene.store.switch_branch(&scene.who, first.id).await;
    assert!(matches!(gone, Err(StoreError::NotFound)));
}

pub(crate) async fn a_branch_is_not_chosen_while_a_run_is_active(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let first = scene.turn(session).await;
    let said = asked(&scene, &first).await;
    let started = start_at(&scene, session, RunInput::Beside(said))
        .await
        .unwrap();
    let refused = scene.store.switch_branch(&scene.who, first.id).await;
    assert!(matches!(refused, Err(StoreError::ActiveRun(run)) if run == started.run.id));
    assert_eq!(head(&scene, session).await, (Some(started.message.id), 1));
    let answer = end(&scene, &started).await;
    assert_eq!(head(&scene, session).await, (Some(answer.id), 2));
    scene
        .store
        .switch_branch(&scene.who, first.id)
        .await
        .unwrap();
    assert_eq!(head(&scene, session).await, (Some(first.id), 2));
}

pub(crate) async fn kin_and_branches_belong_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let first = scene.turn(session).await;
    let said = asked(&scene, &first).await;
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        let of = [Siblings::Of(said.id), Siblings::Below(said.id)];
        assert_eq!(siblings(&other, &of, 100).await, [[]; 2]);
        let switched = other.store.switch_branch(&other.who, said.id).await;
        assert!(matches!(switched, Err(StoreError::NotFound)));
        let started = start_at(&other, session, RunInput::Again(said.clone())).await;
        assert!(matches!(started, Err(StoreError::NotFound)));
    }
    assert_eq!(head(&scene, session).await, (Some(first.id), 2));
}
