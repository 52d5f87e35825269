use std::collections::HashSet;
use std::sync::Arc;

use talkgraph::domain::{NodeId, Principal, RunId};
use talkgraph::store::{SessionTarget, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, later};

/// Takes what has expired `seconds` from now, for a new node.
async fn take(scene: &Scene, seconds: i64, limit: u32) -> (NodeId, Vec<(Principal, RunId)>) {
    let node = NodeId::new();
    let taken = scene
        .store
        .take_expired_runs(node, later(seconds), later(seconds + 30), limit)
        .await
        .unwrap();
    let ids = taken.into_iter().map(|(who, run)| (who, run.id)).collect();
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
        .renew_leases(scene.node, later(300))
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
    scene.store.finish_run(end).await.unwrap();
}
