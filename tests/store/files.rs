use std::sync::Arc;

use talkgraph_domain::{File, FileId};

use crate::support::database::Database;
use crate::support::scene::Scene;

fn file(content: &[u8]) -> File {
    File {
        id: FileId::new(),
        name: Some("a \"%_'☕.bin".to_owned()),
        mime_type: "application/octet-stream".to_owned(),
        content: content.into(),
    }
}

pub(crate) async fn a_file_is_what_it_was(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (all, store) = ((0..=255).collect::<Vec<u8>>(), &scene.store);
    let mut files = [
        file(&all),
        File {
            name: None,
            ..file(b"x")
        },
    ];
    // Ids of one moment have no order.
    files.sort_by_key(|file| file.id);
    store.save_files(&scene.who, &files).await.unwrap();
    let ids = [files[1].id, files[0].id, FileId::new()];
    let mut found = store.files_by_id(&scene.who, &ids).await.unwrap();
    found.sort_by_key(|file| file.id);
    assert_eq!(found, files);
    store.delete_files(&scene.who, &ids[1..]).await.unwrap();
    let left = store.files_by_id(&scene.who, &ids).await.unwrap();
    assert_eq!(left, files[1..]);
}

pub(crate) async fn a_file_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let saved = [file(b"x")];
    scene.store.save_files(&scene.who, &saved).await.unwrap();
    let ids = [saved[0].id];
    for other in [scene.seen_by("acme", "bob"), scene.seen_by("other", "ann")] {
        other.store.delete_files(&other.who, &ids).await.unwrap();
        let found = other.store.files_by_id(&other.who, &ids).await.unwrap();
        assert_eq!(found, []);
    }
    let found = scene.store.files_by_id(&scene.who, &ids).await.unwrap();
    assert_eq!(found, saved);
}

pub(crate) async fn no_file_is_saved_without_the_others(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (first, twice) = (file(b"x"), file(b"y"));
    let files = [first.clone(), twice.clone(), twice];
    assert!(scene.store.save_files(&scene.who, &files).await.is_err());
    let found = scene.store.files_by_id(&scene.who, &[first.id]).await;
    assert_eq!(found.unwrap(), []);
}
