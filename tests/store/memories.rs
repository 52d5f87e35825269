use std::sync::Arc;

use talkgraph_domain::Memory;

use crate::support::database::Database;
use crate::support::scene::{Scene, later};

fn memory(text: &str, seconds: i64) -> Memory {
    Memory {
        text: text.to_owned(),
        saved_at: later(seconds),
    }
}

async fn texts(scene: &Scene) -> Vec<String> {
    let found = scene.store.memories(&scene.who, 100).await.unwrap();
    found.into_iter().map(|memory| memory.text).collect()
}

pub(crate) async fn memories_are_read_latest_first(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let saved = [
        memory("Has a cat.", 1),
        memory("Likes tea: \"%_'☕", 3),
        memory("Lives in Bern.", 2),
    ];
    for memory in &saved {
        scene
            .store
            .save_memory(&scene.who, memory, 100)
            .await
            .unwrap();
    }
    let found = scene.store.memories(&scene.who, 2).await.unwrap();
    assert_eq!(found, [saved[1].clone(), saved[2].clone()]);
}

pub(crate) async fn what_is_said_again_is_there_once(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    for (text, seconds) in [("a", 1), ("b", 2), ("a", 3)] {
        let memory = memory(text, seconds);
        scene
            .store
            .save_memory(&scene.who, &memory, 100)
            .await
            .unwrap();
    }
    assert_eq!(texts(&scene).await, ["a", "b"]);
}

pub(crate) async fn the_oldest_memories_are_forgotten(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = scene.seen_by("acme", "bob");
    other
        .store
        .save_memory(&other.who, &memory("old", 0), 2)
        .await
        .unwrap();
    for (text, seconds) in [("a", 1), ("b", 3), ("c", 2)] {
        let memory = memory(text, seconds);
        scene
            .store
            .save_memory(&scene.who, &memory, 2)
            .await
            .unwrap();
    }
    assert_eq!(texts(&scene).await, ["b", "c"]);
    assert_eq!(texts(&other).await, ["old"]);
}

pub(crate) async fn a_memory_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    scene
        .store
        .save_memory(&scene.who, &memory("mine", 1), 100)
        .await
        .unwrap();
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        assert_eq!(texts(&other).await, [""; 0]);
        // The same text is another memory there.
        other
            .store
            .save_memory(&other.who, &memory("mine", 1), 100)
            .await
            .unwrap();
        assert_eq!(texts(&other).await, ["mine"]);
    }
    assert_eq!(texts(&scene).await, ["mine"]);
}
