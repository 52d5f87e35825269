use std::sync::Arc;

use talkgraph_domain::{PageRequest, Principal};

use crate::support::database::Database;
use crate::support::scene::spec;

fn ann() -> Principal {
    Principal::new("acme", "ann", "test")
}

pub(crate) async fn file_agents_follow_the_files(database: Arc<Database>) {
    let store = database.open().await;
    let mut changing = spec("changing");
    let first = store
        .sync_file_agents(&[spec("staying"), changing.clone(), spec("leaving")])
        .await
        .unwrap();
    let names: Vec<_> = first.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["staying", "changing", "leaving"]);
    assert!(first.iter().all(|agent| agent.current.number == 1));

    changing.parameters.temperature = Some(0.7);
    changing.parameters.seed = Some(u64::MAX);
    let second = store
        .sync_file_agents(&[changing.clone(), spec("staying")])
        .await
        .unwrap();
    let (changed, stayed) = (&second[0], &second[1]);
    assert_eq!((changed.id, changed.current.number), (first[1].id, 2));
    assert_eq!(changed.current.spec, changing);
    assert_ne!(changed.current.id, first[1].current.id);
    assert_eq!(
        (stayed.id, stayed.current.id),
        (first[0].id, first[0].current.id)
    );
    assert_eq!(stayed.updated_at, first[0].updated_at);

    // What has left can be read by those who know its id, and nowhere else.
    let left = first[2].id;
    assert!(
        store
            .agent_by_name(&ann(), "leaving")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.agents_by_id(&ann(), &[left]).await.unwrap().len(), 1);
    let old = store
        .agent_versions_by_id(&ann(), &[first[1].current.id, changed.current.id])
        .await
        .unwrap();
    assert_eq!(old.len(), 2);

    let third = store.sync_file_agents(&[spec("leaving")]).await.unwrap();
    assert_eq!(
        (third[0].id, third[0].current.id),
        (left, first[2].current.id)
    );
    let back = store.agent_by_name(&ann(), "leaving").await.unwrap();
    assert_eq!(back.map(|agent| agent.id), Some(left));
    assert!(store.sync_file_agents(&[]).await.unwrap().is_empty());
    let gone = store.agent_by_name(&ann(), "leaving").await.unwrap();
    assert!(gone.is_none());
}

pub(crate) async fn two_nodes_sync_the_same_files_at_once(database: Arc<Database>) {
    let specs: Vec<_> = (0..10).map(|n| spec(&format!("agent-{n}"))).collect();
    let (one, two) = (database.open().await, database.open().await);
    let (first, second) = tokio::join!(one.sync_file_agents(&specs), two.sync_file_agents(&specs));
    let ids = |agents: Vec<talkgraph_domain::Agent>| -> Vec<_> {
        agents
            .iter()
            .map(|agent| (agent.id, agent.current.id))
            .collect()
    };
    assert_eq!(ids(first.unwrap()), ids(second.unwrap()));
}

pub(crate) async fn agents_are_listed_by_name(database: Arc<Database>) {
    let store = database.open().await;
    // An order that many collations do not keep.
    let names = ["B", "a", "a-b", "a0", "aB", "ab", "b"];
    let specs: Vec<_> = names.iter().rev().map(|name| spec(name)).collect();
    store.sync_file_agents(&specs).await.unwrap();
    let page = async |after: Option<&str>, before: Option<&str>, limit, from_end| {
        let request = PageRequest {
            after: after.map(str::to_owned),
            before: before.map(str::to_owned),
            limit,
            from_end,
        };
        let page = store.agents(&ann(), &request).await.unwrap();
        let names: Vec<_> = page.items.into_iter().map(|agent| agent.name).collect();
        (names.join(" "), page.has_previous, page.has_next)
    };
    let all = names.join(" ");
    assert_eq!(page(None, None, 10, false).await, (all, false, false));
    assert_eq!(
        page(None, None, 2, false).await,
        ("B a".into(), false, true)
    );
    assert_eq!(
        page(Some("a"), None, 3, false).await,
        ("a-b a0 aB".into(), true, true)
    );
    assert_eq!(
        page(Some("aB"), None, 2, false).await,
        ("ab b".into(), true, false)
    );
    assert_eq!(
        page(None, None, 2, true).await,
        ("ab b".into(), true, false)
    );
    assert_eq!(
        page(None, Some("a0"), 2, true).await,
        ("a a-b".into(), true, true)
    );
    assert_eq!(
        page(Some("B"), Some("a0"), 5, false).await.0,
        "a a-b".to_owned()
    );
}

pub(crate) async fn every_tenant_sees_the_file_agents(database: Arc<Database>) {
    let store = database.open().await;
    let agents = store.sync_file_agents(&[spec("helper")]).await.unwrap();
    for who in [ann(), Principal::new("other", "bob", "test")] {
        let found = store.agent_by_name(&who, "helper").await.unwrap().unwrap();
        assert_eq!(found.id, agents[0].id);
        let none = store.agents_by_id(&who, &[]).await.unwrap();
        assert!(none.is_empty());
    }
    let unknown = store.agent_by_name(&ann(), "Helper").await.unwrap();
    assert!(unknown.is_none(), "names are compared as they are written");
}
