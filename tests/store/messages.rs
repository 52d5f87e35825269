use std::sync::Arc;

use talkgraph_domain::{Message, MessageId, SessionId};
use talkgraph_store::{BranchRange, StoreError};

use crate::support::database::Database;
use crate::support::scene::Scene;

/// Makes `turns` questions and answers on top of the session's head; returns the ids.
async fn talk(scene: &Scene, session: SessionId, turns: usize) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for _ in 0..turns {
        let answer = scene.turn(session).await;
        ids.extend([answer.parent_id.unwrap(), answer.id]);
    }
    ids
}

async fn read(
    scene: &Scene,
    session: SessionId,
    ranges: &[(MessageId, i32, i32)],
) -> Vec<Vec<MessageId>> {
    let ranges: Vec<_> = ranges
        .iter()
        .map(|&(head, from, to)| BranchRange {
            session,
            head,
            from,
            to,
        })
        .collect();
    let branches = scene
        .store
        .branches(&scene.who, &ranges, u64::MAX)
        .await
        .unwrap();
    let ids = |branch: &Vec<Message>| branch.iter().map(|m| m.id).collect();
    branches.iter().map(ids).collect()
}

pub(crate) async fn large_stretches_are_not_read(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let ids = talk(&scene, session, 11).await;
    let stretch = |from, to| BranchRange {
        session,
        head: ids[21],
        from,
        to,
    };
    let few = scene.store.branches(&scene.who, &[stretch(0, 20)], 1).await;
    assert_eq!(few.unwrap()[0].len(), 20, "as few are not counted");
    let all = [stretch(0, 22)];
    let bytes = |branch: &[Message]| branch.iter().map(Message::bytes).sum::<usize>();
    let read = scene
        .store
        .branches(&scene.who, &all, 1 << 20)
        .await
        .unwrap();
    assert_eq!(read[0].len(), 22);
    let most = bytes(&read[0]) as u64;
    for ranges in [&all[..], &[stretch(0, 11), stretch(11, 22)]] {
        let refused = scene.store.branches(&scene.who, ranges, most).await;
        assert!(
            matches!(refused, Err(StoreError::TooLarge(limit)) if limit == most),
            "{refused:?}"
        );
    }
}

pub(crate) async fn a_branch_is_read_in_ranges(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let ids = talk(&scene, session, 3).await;
    let head = ids[5];
    let ranges = [
        (0, 6),
        (0, 1),
        (5, 6),
        (2, 4),
        (4, 100),
        (3, 3),
        (6, 9),
        (-5, 2),
    ];
    let wanted = ranges.map(|(from, to)| (head, from, to));
    let expected = [0..6, 0..1, 5..6, 2..4, 4..6, 3..3, 6..6, 0..2].map(|r| ids[r].to_vec());
    assert_eq!(read(&scene, session, &wanted).await, expected);
    // One at a time too, and from a message that is not the last.
    for (range, expected) in wanted.iter().zip(&expected) {
        assert_eq!(read(&scene, session, &[*range]).await[0], *expected);
    }
    assert_eq!(read(&scene, session, &[(ids[2], 0, 6)]).await[0], ids[..3]);
    assert!(read(&scene, session, &[]).await.is_empty());
}

pub(crate) async fn branches_of_a_tree_are_told_apart(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let trunk = talk(&scene, session, 2).await;
    let left = talk(&scene, session, 1).await;
    database.set_head(session.uuid(), trunk[3].uuid(), 4).await;
    let right = talk(&scene, session, 2).await;
    database.set_head(session.uuid(), trunk[1].uuid(), 2).await;
    let early = talk(&scene, session, 1).await;
    let elsewhere = scene.session().await.id;
    let other = talk(&scene, elsewhere, 1).await;

    let unknown = MessageId::new();
    let branches = read(
        &scene,
        session,
        &[
            (right[3], 0, 8),
            (left[1], 0, 6),
            (unknown, 0, 6),
            (early[1], 1, 4),
            (other[1], 0, 2),
            (left[1], 3, 5),
            (right[3], 0, 8),
            // Where nobody has branched off, and just before.
            (right[3], 0, 2),
            (left[1], 1, 3),
            (trunk[1], 1, 3),
        ],
    )
    .await;
    assert_eq!(branches[0], [&trunk[..], &right[..]].concat());
    assert_eq!(branches[1], [&trunk[..], &left[..]].concat());
    assert!(branches[2].is_empty());
    assert_eq!(branches[3], [&trunk[1..2], &early[..]].concat());
    // A message of another session is found all the same.
    assert_eq!(branches[4], other);
    assert_eq!(branches[5], [trunk[3], left[0]]);
    assert_eq!(branches[6], branches[0]);
    assert_eq!(branches[7], trunk[..2]);
    assert_eq!(branches[8], trunk[1..3]);
    assert_eq!(branches[9], trunk[1..2]);
    let all = read(&scene, elsewhere, &[(other[1], 0, 2), (left[1], 0, 2)]).await;
    assert_eq!(all, [&other[..], &trunk[..2]]);
}

pub(crate) async fn messages_belong_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    let ids = talk(&scene, session, 1).await;
    let own = scene.store.messages_by_id(&scene.who, &ids).await.unwrap();
    assert_eq!(own.len(), 2);
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        let found = other.store.messages_by_id(&other.who, &ids).await.unwrap();
        assert!(found.is_empty());
        assert!(read(&other, session, &[(ids[1], 0, 2)]).await[0].is_empty());
    }
}
