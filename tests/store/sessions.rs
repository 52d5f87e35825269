use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use serde_json::json;
use talkgraph_domain::time::now;
use talkgraph_domain::{PageRequest, SessionId};
use talkgraph_store::{NewSession, SessionChange, SessionCursor, SessionFilter, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, spec};

pub(crate) async fn a_session_is_made_changed_and_deleted(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, who) = (&scene.store, &scene.who);
    let made = scene.session().await;
    assert_eq!((made.head, made.branch_length), (None, 0));

    let change = SessionChange {
        title: Some(Some("Plans".into())),
        metadata: Some(json!({"pinned": true, "tags": ["a", 1, null]})),
    };
    let changed = store.update_session(who, made.id, change).await.unwrap();
    assert_eq!(changed.title.as_deref(), Some("Plans"));
    assert_eq!(
        changed.metadata,
        json!({"pinned": true, "tags": ["a", 1, null]})
    );
    assert!(changed.updated_at > made.updated_at);
    assert_eq!(changed.created_at, made.created_at);

    let untitled = SessionChange {
        title: Some(None),
        metadata: None,
    };
    let changed = store.update_session(who, made.id, untitled).await.unwrap();
    assert_eq!(
        (changed.title, &changed.metadata["pinned"]),
        (None, &json!(true))
    );

    store.delete_session(who, made.id).await.unwrap();
    assert!(scene.read(made.id).await.is_none());
    let again = store.delete_session(who, made.id).await;
    assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
    let change = SessionChange::default();
    let changed = store.update_session(who, made.id, change).await;
    assert!(matches!(changed, Err(StoreError::NotFound)), "{changed:?}");
    let started = scene.start(made.id).await;
    assert!(matches!(started, Err(StoreError::NotFound)), "{started:?}");
    assert!(list(&scene, &SessionFilter::default()).await.is_empty());
}

async fn list(scene: &Scene, filter: &SessionFilter) -> Vec<SessionId> {
    let request = PageRequest {
        after: None,
        before: None,
        limit: 100,
        from_end: false,
    };
    let page = scene.store.sessions(&scene.who, filter, &request).await;
    page.unwrap().items.iter().map(|s| s.id).collect()
}

pub(crate) async fn sessions_are_listed_latest_first(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(scene.session().await.id);
    }
    scene.turn(sessions[1]).await;
    let expected = [sessions[1], sessions[2], sessions[0]];
    assert_eq!(list(&scene, &SessionFilter::default()).await, expected);
    let change = SessionChange {
        title: Some(Some("first again".into())),
        metadata: None,
    };
    let (store, who) = (&scene.store, &scene.who);
    store
        .update_session(who, sessions[0], change)
        .await
        .unwrap();
    let expected = [sessions[0], sessions[1], sessions[2]];
    assert_eq!(list(&scene, &SessionFilter::default()).await, expected);
}

pub(crate) async fn sessions_of_the_same_instant_are_listed_once(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let at = now();
    for n in 0..10 {
        let session = NewSession {
            // Three instants, so that pages begin and end within one and between two.
            created_at: at + TimeDelta::microseconds(n / 4),
            ..scene.new_session()
        };
        let (store, who) = (&scene.store, &scene.who);
        store.create_session(who, session).await.unwrap();
    }
    let all = list(&scene, &SessionFilter::default()).await;
    assert_eq!(all.len(), 10);
    for limit in 1..=4 {
        for from_end in [false, true] {
            assert_eq!(
                walk(&scene, limit, from_end).await,
                all,
                "{limit} {from_end}"
            );
        }
    }
    let (first, last) = (cursor(&scene, all[2]).await, cursor(&scene, all[6]).await);
    for from_end in [false, true] {
        let request = PageRequest {
            after: Some(first),
            before: Some(last),
            limit: 3,
            from_end,
        };
        let filter = SessionFilter::default();
        let page = scene.store.sessions(&scene.who, &filter, &request).await;
        let ids: Vec<_> = page.unwrap().items.iter().map(|s| s.id).collect();
        assert_eq!(ids, all[3..6]);
    }
}

async fn cursor(scene: &Scene, id: SessionId) -> SessionCursor {
    let updated_at = scene.read(id).await.unwrap().updated_at;
    SessionCursor { updated_at, id }
}

/// Reads all pages one after the other and returns the sessions in list order.
async fn walk(scene: &Scene, limit: u32, from_end: bool) -> Vec<SessionId> {
    let mut pages = Vec::new();
    let mut at = None;
    loop {
        let request = PageRequest {
            after: at.filter(|_| !from_end),
            before: at.filter(|_| from_end),
            limit,
            from_end,
        };
        let filter = SessionFilter::default();
        let page = scene.store.sessions(&scene.who, &filter, &request).await;
        let page = page.unwrap();
        let (more, edge) = match from_end {
            true => (page.has_previous, page.items.first()),
            false => (page.has_next, page.items.last()),
        };
        at = edge.map(|session| SessionCursor {
            updated_at: session.updated_at,
            id: session.id,
        });
        pages.push(page.items.iter().map(|s| s.id).collect::<Vec<_>>());
        if !more {
            break;
        }
    }
    if from_end {
        pages.reverse();
    }
    pages.concat()
}

pub(crate) async fn sessions_are_filtered(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (store, who) = (&scene.store, &scene.who);
    let specs = [spec("helper"), spec("other")];
    let other = store.sync_file_agents(&specs).await.unwrap()[1].id;
    for title in [Some("100% done"), Some("A_b Größe"), None] {
        let session = NewSession {
            title: title.map(str::to_owned),
            ..scene.new_session()
        };
        store.create_session(who, session).await.unwrap();
    }
    let session = NewSession {
        agent_id: other,
        title: Some("a-b".into()),
        ..scene.new_session()
    };
    let of_other = store.create_session(who, session).await.unwrap().id;

    let found = async |text: &str, agent_id| {
        let filter = SessionFilter {
            agent_id,
            title_contains: Some(text.to_owned()),
        };
        list(&scene, &filter).await.len()
    };
    assert_eq!(found("DONE", None).await, 1);
    assert_eq!(found("0%", None).await, 1);
    assert_eq!(found("%", None).await, 1, "no wildcard");
    assert_eq!(found("a_B", None).await, 1, "no wildcard");
    assert_eq!(found("Größe", None).await, 1);
    assert_eq!(found("GRÖSSE", None).await, 0);
    assert_eq!(
        found("GRÖßE", None).await,
        0,
        "only ASCII letters have a case"
    );
    assert_eq!(found("", None).await, 3, "those that have a title");
    assert_eq!(found("b", Some(other)).await, 1);
    let filter = SessionFilter {
        agent_id: Some(other),
        title_contains: None,
    };
    assert_eq!(list(&scene, &filter).await, [of_other]);
}

pub(crate) async fn a_session_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await;
    for (tenant, owner) in [("acme", "bob"), ("other", "ann"), ("*", "*"), ("", "")] {
        let other = scene.seen_by(tenant, owner);
        assert!(other.read(session.id).await.is_none());
        assert!(list(&other, &SessionFilter::default()).await.is_empty());
        let (store, who) = (&other.store, &other.who);
        let change = SessionChange {
            title: Some(Some("mine".into())),
            metadata: None,
        };
        let changed = store.update_session(who, session.id, change).await;
        assert!(matches!(changed, Err(StoreError::NotFound)), "{changed:?}");
        let deleted = store.delete_session(who, session.id).await;
        assert!(matches!(deleted, Err(StoreError::NotFound)), "{deleted:?}");
        let started = other.start(session.id).await;
        assert!(matches!(started, Err(StoreError::NotFound)), "{started:?}");
    }
    let unharmed = scene.read(session.id).await.unwrap();
    assert_eq!((unharmed.title, unharmed.head), (None, None));
}

pub(crate) async fn what_is_written_is_read(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    // Four bytes, a family of joined characters, a combining accent, right to left.
    let text = "𝔘 👩‍👩‍👧‍👦 e\u{301} שלום \u{feff}\u{fffd}\u{10ffff} \"\\'\n\t";
    let session = NewSession {
        title: Some(text.to_owned()),
        metadata: json!({ text: [text, 1.5, -3, u64::MAX, i64::MIN, 1e300, false, null, {}] }),
        created_at: DateTime::from_timestamp_micros(1_700_000_000_123_457).unwrap(),
        ..scene.new_session()
    };
    let (store, who) = (&scene.store, &scene.who);
    let made = store.create_session(who, session.clone()).await.unwrap();
    let read = scene.read(made.id).await.unwrap();
    assert_eq!(read.title.as_deref(), Some(text));
    assert_eq!(read.metadata, session.metadata);
    assert_eq!(read.created_at, session.created_at);
    assert_eq!(read.updated_at.timestamp_subsec_micros(), 123_457);

    let old = DateTime::from_timestamp_micros(-1).unwrap();
    let session = NewSession {
        created_at: old,
        ..scene.new_session()
    };
    let made = store.create_session(who, session).await.unwrap();
    assert_eq!(scene.read(made.id).await.unwrap().created_at, old);
}
