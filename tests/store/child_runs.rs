//! Runs that runs have asked for.

use std::sync::Arc;

use talkgraph_domain::{PageRequest, ParentRun};
use talkgraph_store::{NewSession, SessionFilter, SessionTarget, StartedRun};

use crate::support::database::Database;
use crate::support::scene::Scene;

pub(crate) async fn child(scene: &Scene, parent: &StartedRun, depth: u32) -> StartedRun {
    let session = NewSession {
        parent_run: Some(parent.run.id),
        ..scene.new_session()
    };
    let mut new = scene.new_run(SessionTarget::New(session), "Hello");
    let run = parent.run.id;
    new.run.parent = Some(ParentRun { run, depth });
    scene.store.start_run(new).await.unwrap()
}

pub(crate) async fn children_are_found_and_listed_nowhere(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, who) = (&scene.store, &scene.who);
    let parent = scene.start_new().await;
    let (first, second) = (
        child(&scene, &parent, 1).await,
        child(&scene, &parent, 1).await,
    );
    let grandchild = child(&scene, &first, 2).await;

    let parents = [parent.run.id, first.run.id, second.run.id];
    let found = store.child_runs(who, &parents).await.unwrap();
    let mut ids: Vec<_> = found.iter().map(|run| run.id).collect();
    ids.sort();
    let mut expected = vec![first.run.id, second.run.id, grandchild.run.id];
    expected.sort();
    assert_eq!(ids, expected);
    for run in found {
        let depth = if run.id == grandchild.run.id { 2 } else { 1 };
        assert_eq!(run.parent.unwrap().depth, depth);
    }
    let mallory = scene.seen_by("acme", "mallory");
    assert!(
        store
            .child_runs(&mallory.who, &parents)
            .await
            .unwrap()
            .is_empty()
    );

    let page = PageRequest {
        after: None,
        before: None,
        limit: 10,
        from_end: false,
    };
    let listed = store
        .sessions(who, &SessionFilter::default(), &page)
        .await
        .unwrap();
    let listed: Vec<_> = listed.items.iter().map(|session| session.id).collect();
    assert_eq!(listed, [parent.session.id]);
    let hidden = scene.read(first.session.id).await.unwrap();
    assert_eq!(hidden.parent_run, Some(parent.run.id));
}

pub(crate) async fn children_are_deleted_with_their_parents_session(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (parent, other) = (scene.start_new().await, scene.start_new().await);
    let first = child(&scene, &parent, 1).await;
    let grandchild = child(&scene, &first, 2).await;
    for started in [&parent, &first, &grandchild] {
        let end = scene.end(started, 2, "Hi");
        scene.store.finish_run(end).await.unwrap();
    }
    let id = parent.session.id;
    scene.store.delete_session(&scene.who, id).await.unwrap();
    for started in [&parent, &first, &grandchild] {
        assert!(scene.read(started.session.id).await.is_none());
        assert!(scene.read_run(started.run.id).await.is_none());
    }
    assert!(scene.read_run(other.run.id).await.is_some());
}
