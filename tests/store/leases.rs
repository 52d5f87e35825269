use std::collections::HashSet;
use std::sync::Arc;

use talkgraph_domain::time::now;
use talkgraph_domain::{NodeId, Principal, RunId};
use talkgraph_store::{SessionTarget, StoreError, TakenRun};

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, span};

/// Takes what has expired `seconds` from now, for a new node.
async fn take(scene: &Scene, seconds: i64, limit: u32) -> (NodeId, Vec<(Principal, RunId)>) {
    let node = NodeId::new();
    let taken = scene
        .store
        .take_expired_runs(node, span(seconds), span(seconds + 30), limit)
        .await
        .unwrap();
    let ids = taken
        .into_iter()
        .map(|taken| (taken.who, taken.run.id))
        .collect();
    (node, ids)
}

pub(crate) async fn a_renewed_lease_is_not_taken(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let renewed = scene.start_new().await;
    let mut other = scene.new_run(SessionTarget::New(scene.new_session()), "Hello");
    other.node = NodeId::new();
    let other = scene.store.start_run(other).await.unwrap();
    let ended = scene.start_new().await;
    let end = scene.end(&ended, 2, "Hi");
    scene.store.finish_run(end).await.unwrap();

    assert!(take(&scene, 10, 10).await.1.is_empty(), "none has expired");
    scene
        .store
        .renew_leases(scene.node, span(300))
        .await
        .unwrap();
    let (_, taken) = take(&scene, 100, 10).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].1, other.run.id, "its node has not renewed it");
    assert_eq!(&*taken[0].0.tenant, "acme");
    assert_eq!(&*taken[0].0.owner, "ann");
    let (_, taken) = take(&scene, 301, 10).await;
    let ids: HashSet<_> = taken.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, HashSet::from([renewed.run.id, other.run.id]));
}

/// A run's server is gone; its next node gets the run.
async fn take_one(scene: &Scene) -> TakenRun {
    let taken = scene
        .store
        .take_expired_runs(scene.node, span(100), span(30), 10);
    let mut taken = taken.await.unwrap();
    assert_eq!(taken.len(), 1);
    taken.pop().unwrap()
}

pub(crate) async fn unclean_ends_are_counted_while_a_run_is_made(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let mut nodes = Vec::new();
    for _ in 0..8 {
        nodes.push(scene.another_node(&database).await);
    }
    let mut nodes = nodes.into_iter();
    let mut next = || nodes.next().unwrap();
    let known = |taken: &TakenRun| (taken.unclean_ends, taken.is_held, taken.alone_since);

    // While it waits for its place a run is not active.
    let started = scene.start_new().await;
    let first = next();
    let taken = take_one(&first).await;
    assert_eq!(known(&taken), (0, false, None));
    assert_eq!(taken.taken_from, Some(scene.node));
    let mut begins = first.new_events(deltas(&started.run, 2..=2));
    (begins.started_at, begins.fence) = (Some(now()), taken.run.fence);
    first.append(begins).await.unwrap();
    let second = next();
    assert_eq!(known(&take_one(&second).await), (1, true, None));
    // It was held when this one died.
    let third = next();
    let taken = take_one(&third).await;
    assert_eq!(known(&taken), (1, true, None));
    let at = now();
    let alone = async |scene: &Scene, taken: &TakenRun| {
        let released = scene.store.release_held(&taken.run, scene.node, Some(at));
        released.await.unwrap()
    };
    assert!(!alone(&second, &taken).await, "it is another node's");
    assert!(alone(&third, &taken).await);
    let fourth = next();
    let taken = take_one(&fourth).await;
    assert_eq!(known(&taken), (2, true, Some(at)));
    // A server that stops gives it back, alone or not.
    assert!(alone(&fourth, &taken).await);
    fourth.store.give_back_runs(fourth.node).await.unwrap();
    let fifth = next();
    let taken = take_one(&fifth).await;
    assert_eq!(known(&taken), (2, true, None));
    assert!(alone(&fifth, &taken).await);
    fifth
        .store
        .clear_suspicion(&taken.run, fifth.node)
        .await
        .unwrap();
    let sixth = next();
    let taken = take_one(&sixth).await;
    assert_eq!(known(&taken), (1, true, None));
    assert!(
        sixth
            .store
            .release_held(&taken.run, sixth.node, None)
            .await
            .unwrap()
    );
    sixth
        .store
        .clear_suspicion(&taken.run, sixth.node)
        .await
        .unwrap();
    sixth.store.give_back_runs(sixth.node).await.unwrap();
    assert_eq!(known(&take_one(&next()).await), (0, false, None));
}

pub(crate) async fn expired_runs_are_taken_once(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let mut started = Vec::new();
    for _ in 0..10 {
        started.push(scene.start_new().await);
    }
    let second = scene.another_node(&database).await;
    let (few, all) = tokio::join!(take(&scene, 100, 3), take(&second, 100, 100));
    assert!(few.1.len() <= 3);
    let mut taken: Vec<_> = few.1.into_iter().chain(all.1).map(|(_, id)| id).collect();
    // What a node was busy with at that moment is there the next time.
    taken.extend(take(&scene, 100, 100).await.1.into_iter().map(|(_, id)| id));
    assert_eq!(taken.len(), 10);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 10);

    let (node, taken) = take(&scene, 1000, 1).await;
    assert_eq!(taken.len(), 1);
    let one = started.iter().find(|s| s.run.id == taken[0].1).unwrap();
    let run = scene.read_run(one.run.id).await.unwrap();
    assert_eq!(run.last_sequence, 1);

    let late = scene.store.finish_run(scene.end(one, 2, "Hi")).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    let mut end = scene.end(one, 2, "Hi");
    end.node = node;
    end.run.fence = run.fence;
    scene.store.finish_run(end).await.unwrap();
}
