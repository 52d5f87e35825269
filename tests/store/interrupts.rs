//! What runs wait for, and the answers.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use talkgraph_domain::time::now;
use talkgraph_domain::{
    EventBody, Interrupt, InterruptId, InterruptKind, NodeId, PageRequest, Resolution, Resolved,
    Run, RunStatus, ToolCallId,
};
use talkgraph_store::{Answered, NewAnswers, NewEvents, StartedRun, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, event, later, span};

fn interrupt(run: &Run, expires_in: i64) -> Interrupt {
    Interrupt {
        id: InterruptId::new(),
        kind: InterruptKind::ToolApproval,
        run_id: run.id,
        session_id: run.session_id,
        tool_call_id: ToolCallId::new(),
        tool: "refund".to_owned(),
        arguments: json!({ "amount": 1.5, "why": "é \0 \"" }),
        created_at: now(),
        expires_at: later(expires_in),
        resolution: None,
        question: None,
    }
}

/// What makes a running run wait for `count` answers.
fn waiting(scene: &Scene, run: &Run, first: u64, count: usize) -> NewEvents {
    let mut awaits: Vec<_> = (0..count).map(|_| interrupt(run, -1)).collect();
    awaits.sort_by_key(|interrupt| interrupt.id);
    let requested = awaits.iter().map(|one| EventBody::InterruptRequested {
        interrupt: Box::new(one.clone()),
    });
    let numbered = (first..).zip(requested);
    let events = numbered.map(|(sequence, body)| event(run.id, sequence, body));
    let events = events.collect();
    NewEvents {
        awaits,
        ..scene.new_events(events)
    }
}

/// A running run that waits for `count` answers.
async fn suspended(scene: &Scene, count: usize) -> (StartedRun, Vec<Interrupt>) {
    let started = scene.start_new().await;
    let mut begins = scene.new_events(deltas(&started.run, 2..=2));
    begins.started_at = Some(now());
    scene.append(begins).await.unwrap();
    let events = waiting(scene, &started.run, 3, count);
    let interrupts = events.awaits.clone();
    scene.append(events).await.unwrap();
    (started, interrupts)
}

async fn answer(
    scene: &Scene,
    run: &Run,
    answers: &[(InterruptId, Resolution)],
) -> Result<Answered, StoreError> {
    let new = NewAnswers {
        who: scene.who.clone(),
        run: run.id,
        node: scene.node,
        lease: span(30),
        answers: answers.to_vec(),
        at: now(),
    };
    scene.store.resolve_interrupts(new).await
}

fn approved(interrupt: &Interrupt) -> (InterruptId, Resolution) {
    (interrupt.id, Resolution::Approved { arguments: None })
}

pub(crate) async fn a_run_waits_until_its_last_answer(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (started, interrupts) = suspended(&scene, 2).await;
    let run = &started.run;
    let status = async |scene: &Scene| scene.read_run(run.id).await.unwrap().status;
    assert_eq!(status(&scene).await, RunStatus::AwaitingInput);
    let open = scene.store.open_interrupts_of(&scene.who, &[run.id]).await;
    assert_eq!(open.unwrap(), interrupts);

    // On another node: what waits belongs to nobody.
    let other = scene.another_node(&database).await;
    let first = answer(&other, run, &[approved(&interrupts[1])])
        .await
        .unwrap();
    assert!(!first.resumed && first.changed == [interrupts[1].id]);
    assert_eq!(status(&scene).await, RunStatus::AwaitingInput);
    let both = [approved(&interrupts[0]), approved(&interrupts[1])];
    let second = answer(&scene, run, &both).await.unwrap();
    assert!(second.resumed && second.changed == [interrupts[0].id]);
    assert_eq!(second.run.last_sequence, 6);
    assert_eq!(status(&scene).await, RunStatus::Running);
    assert_eq!(scene.sequences(run.id).await, [1, 2, 3, 4, 5, 6]);
    let log = scene.log(run.id).await;
    let resolved = &second.interrupts[0];
    assert!(
        matches!(&log[5].body, EventBody::InterruptResolved { interrupt } if **interrupt == *resolved)
    );
    // Its log is that node's alone.
    let stranger = other.append(other.new_events(deltas(run, 7..=7))).await;
    assert!(matches!(stranger, Err(StoreError::Conflict)));
    let own = scene.new_events(deltas(run, 7..=7));
    let fence = second.run.fence;
    scene.append(NewEvents { fence, ..own }).await.unwrap();

    // The same again changes nothing, another answer neither.
    let again = answer(&scene, run, &both).await.unwrap();
    assert!(
        again.changed.is_empty() && again.resumed,
        "it is this node's to make"
    );
    let again = answer(&other, run, &both).await.unwrap();
    assert!(again.changed.is_empty() && !again.resumed);
    let different = [
        approved(&interrupts[0]),
        (interrupts[1].id, Resolution::Expired),
    ];
    let refused = answer(&scene, run, &different).await;
    assert!(matches!(refused, Err(StoreError::Resolved(id)) if id == interrupts[1].id));
    assert_eq!(scene.sequences(run.id).await.len(), 7);
}

pub(crate) async fn of_many_answers_one_is_taken(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = scene.another_node(&database).await;
    let (started, interrupts) = suspended(&scene, 1).await;
    let answers = (0..20).map(|number| {
        let scene = if number % 2 == 0 { &scene } else { &other };
        let rejected = Resolution::Rejected {
            reason: (number / 2).to_string(),
        };
        let (run, id) = (&started.run, interrupts[0].id);
        async move { answer(scene, run, &[(id, rejected)]).await }
    });
    let outcomes = join_all(answers).await;
    let changed = outcomes
        .iter()
        .flatten()
        .filter(|one| !one.changed.is_empty());
    assert_eq!(changed.count(), 1);
    assert_eq!(scene.sequences(started.run.id).await, [1, 2, 3, 4]);
}

pub(crate) async fn nobody_takes_up_what_waits(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (started, interrupts) = suspended(&scene, 1).await;
    let other = scene.another_node(&database).await;
    let (at, lease) = (span(1_000), span(2_000));
    let taken = other
        .store
        .take_expired_runs(other.node, at, lease, 10)
        .await;
    assert!(taken.unwrap().is_empty());
    let expired = other.store.expired_interrupts(span(0), 10).await.unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].0.owner, scene.who.owner);
    assert_eq!(expired[0].1, interrupts[0]);
    assert!(
        other
            .store
            .expired_interrupts(span(-100), 10)
            .await
            .unwrap()
            .is_empty()
    );
    // Once it is made again its lease counts.
    answer(&scene, &started.run, &[approved(&interrupts[0])])
        .await
        .unwrap();
    let owned = scene.store.runs_of_node(scene.node, 10).await.unwrap();
    assert_eq!(owned[0].run.id, started.run.id);
    assert!(
        scene
            .store
            .runs_of_node(other.node, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let taken = other
        .store
        .take_expired_runs(other.node, at, lease, 10)
        .await;
    assert_eq!(taken.unwrap().len(), 1);
}

pub(crate) async fn the_end_of_a_run_closes_what_it_waits_for(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = scene.another_node(&database).await;
    let (started, interrupts) = suspended(&scene, 2).await;
    let run = &started.run;
    let close = |scene: &Scene| {
        let closed = interrupts.iter().cloned().map(|interrupt| Interrupt {
            resolution: Some(Resolved {
                resolution: Resolution::Closed,
                at: now(),
            }),
            ..interrupt
        });
        let mut end = scene.end(&started, 5, "stopped");
        end.closed = closed.collect();
        end
    };
    // Whoever ends it has to claim it first.
    let refused = other.store.finish_run(close(&other)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    let claim = other
        .store
        .claim_awaiting_run(&other.who, run.id, other.node);
    let claimed = claim.await.unwrap().unwrap();
    assert_eq!(claimed.id, run.id);
    let mut closed = close(&other);
    closed.run.fence = claimed.fence;
    other.store.finish_run(closed).await.unwrap();
    let late = answer(&scene, run, &[approved(&interrupts[0])]).await;
    assert!(matches!(late, Err(StoreError::Resolved(_))));
    let open = scene.store.open_interrupts_of(&scene.who, &[run.id]).await;
    assert!(open.unwrap().is_empty());
    let claim = scene
        .store
        .claim_awaiting_run(&scene.who, run.id, scene.node);
    assert!(claim.await.unwrap().is_none());
}

/// A suspension that does not follow the log, or of a node that lost the run, leaves nothing.
pub(crate) async fn a_refused_suspension_leaves_nothing(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = scene.another_node(&database).await;
    let started = scene.start_new().await;
    let run = &started.run;
    for (scene, first) in [(&scene, 7), (&other, 2)] {
        let events = waiting(scene, run, first, 1);
        let outcome = scene.append(events).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
    let open = scene.store.open_interrupts_of(&scene.who, &[run.id]).await;
    assert!(open.unwrap().is_empty());
    assert_eq!(scene.sequences(run.id).await, [1]);
    assert_ne!(
        scene.read_run(run.id).await.unwrap().status,
        RunStatus::AwaitingInput
    );
}

pub(crate) async fn an_inbox_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let (started, mut all) = suspended(&scene, 3).await;
    all.extend(suspended(&scene, 2).await.1);
    all.sort_by_key(|interrupt| interrupt.id);
    let page = |after, from_end| PageRequest {
        after,
        before: None,
        limit: 2,
        from_end,
    };
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let read = scene
            .store
            .open_interrupts(&scene.who, &page(after, false))
            .await
            .unwrap();
        seen.extend(read.items);
        after = seen.last().map(|interrupt| interrupt.id);
        if !read.has_next {
            break;
        }
    }
    assert_eq!(seen, all);
    let last = scene
        .store
        .open_interrupts(&scene.who, &page(None, true))
        .await
        .unwrap();
    assert_eq!(last.items, all[3..]);
    let ids: Vec<_> = all.iter().map(|interrupt| interrupt.id).collect();
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let bob = scene.seen_by(tenant, owner);
        let read = bob
            .store
            .open_interrupts(&bob.who, &page(None, false))
            .await;
        assert!(read.unwrap().items.is_empty());
        assert!(
            bob.store
                .interrupts_by_id(&bob.who, &ids)
                .await
                .unwrap()
                .is_empty()
        );
        let refused = answer(&bob, &started.run, &[approved(&all[0])]).await;
        assert!(matches!(refused, Err(StoreError::NotFound)));
        let claim = bob
            .store
            .claim_awaiting_run(&bob.who, started.run.id, NodeId::new());
        assert!(claim.await.unwrap().is_none());
    }
    let found = scene
        .store
        .interrupts_by_id(&scene.who, &ids)
        .await
        .unwrap();
    assert_eq!(found.len(), 5);
}
