//! Runs that go from node to node while their logs grow.

use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sqlx::{Connection, SqliteConnection};
use talkgraph_domain::RunEvent;
use talkgraph_store::{NewEvents, StartedRun, StoreError};
use tokio::runtime::Handle;

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, span};

const RUNS: usize = 4;

/// Something that happens to runs on two nodes.
#[derive(Debug, Clone)]
enum Act {
    /// A node appends so many events to each run, all at once.
    Append { node: usize, counts: [u64; RUNS] },
    /// A node takes all runs.
    Take { node: usize },
    /// A node's process is gone, and another one comes.
    Restart { node: usize },
    /// Whoever has the run ends it.
    End { run: usize },
}

fn any_act() -> impl Strategy<Value = Act> {
    let node = || 0..2_usize;
    prop_oneof![
        6 => (node(), [0..4_u64, 0..3, 0..3, 0..2])
            .prop_map(|(node, counts)| Act::Append { node, counts }),
        2 => node().prop_map(|node| Act::Take { node }),
        1 => node().prop_map(|node| Act::Restart { node }),
        1 => (0..RUNS).prop_map(|run| Act::End { run }),
    ]
}

pub(crate) async fn a_log_goes_on_whoever_has_the_run(database: Arc<Database>) {
    let handle = Handle::current();
    let first = Scene::new(&database).await;
    let mut runner = TestRunner::new(Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    });
    let acts = prop::collection::vec(any_act(), 1..16);
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&acts, |acts| {
            handle.block_on(Case::new(&database, &first).check(acts))
        })
    });
    outcome.unwrap();
}

struct Case<'d> {
    database: &'d Database,
    scene: &'d Scene,
}

/// A run as it must be.
struct Expected {
    started: StartedRun,
    /// The node that has it; none if that one is gone.
    node: Option<usize>,
    log: Vec<RunEvent>,
    is_ended: bool,
}

impl<'d> Case<'d> {
    fn new(database: &'d Database, scene: &'d Scene) -> Self {
        Self { database, scene }
    }

    async fn check(self, acts: Vec<Act>) -> Result<(), TestCaseError> {
        let another = || self.scene.another_node(self.database);
        let mut nodes = [another().await, another().await];
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let started = nodes[0].start_new().await;
            let log = nodes[0].log(started.run.id).await;
            runs.push(Expected {
                started,
                node: Some(0),
                log,
                is_ended: false,
            });
        }
        for act in acts {
            match act {
                Act::Append { node, counts } => append(&nodes, node, &mut runs, counts).await?,
                Act::Take { node } => take(&nodes, node, &mut runs).await,
                Act::Restart { node } => {
                    nodes[node] = another().await;
                    let its = runs.iter_mut().filter(|run| run.node == Some(node));
                    its.for_each(|run| run.node = None);
                }
                Act::End { run } => end(&nodes, &mut runs[run]).await,
            }
            for run in &runs {
                read(&nodes, run).await?;
            }
        }
        take(&nodes, 0, &mut runs).await;
        for run in &mut runs {
            end(&nodes, run).await;
            read(&nodes, run).await?;
        }
        Ok(())
    }
}

async fn append(
    nodes: &[Scene; 2],
    node: usize,
    runs: &mut [Expected],
    counts: [u64; RUNS],
) -> Result<(), TestCaseError> {
    // Nothing comes after an end.
    let active = || runs.iter().zip(counts).filter(|(run, _)| !run.is_ended);
    let appends = active().map(async |(run, count)| {
        let last = run.log.len() as u64;
        let events = deltas(&run.started.run, last + 1..=last + count);
        let mut new = nodes[node].new_events(events.clone());
        // It may have been refused before.
        new.mends_log = true;
        new.fence = run.started.run.fence;
        (events, nodes[node].append(new).await)
    });
    let outcomes = join_all(appends).await;
    let active = runs.iter_mut().filter(|run| !run.is_ended);
    for (run, (events, outcome)) in active.zip(outcomes) {
        match outcome {
            Ok(()) => {
                prop_assert!(run.node == Some(node) || events.is_empty());
                run.log
                    .extend(events.iter().map(|event| RunEvent::clone(event)));
            }
            Err(error) => {
                prop_assert!(matches!(error, StoreError::Conflict), "{error:?}");
                prop_assert!(run.node != Some(node), "{error:?}");
            }
        }
    }
    Ok(())
}

async fn take(nodes: &[Scene; 2], node: usize, runs: &mut [Expected]) {
    let (store, id) = (&nodes[node].store, nodes[node].node);
    let taken = store
        .take_expired_runs(id, span(10_000), span(30), 100)
        .await;
    for taken in taken.unwrap() {
        let taken = taken.run;
        for run in &mut *runs {
            if run.started.run.id == taken.id {
                assert_eq!(taken.last_sequence, run.log.len() as u64);
                run.node = Some(node);
                run.started.run.fence = taken.fence;
            }
        }
    }
}

async fn end(nodes: &[Scene; 2], run: &mut Expected) {
    let Some(node) = run.node.filter(|_| !run.is_ended) else {
        return;
    };
    let node = &nodes[node];
    let mut end = node.end(&run.started, run.log.len() as u64 + 1, "Hi");
    end.mends_log = true;
    node.store.finish_run(end.clone()).await.unwrap();
    run.log
        .extend(end.events.iter().map(|event| RunEvent::clone(event)));
    run.is_ended = true;
}

/// Every node reads the same, from anywhere.
async fn read(nodes: &[Scene; 2], run: &Expected) -> Result<(), TestCaseError> {
    let id = run.started.run.id;
    let last = run.log.len() as u64;
    for node in nodes {
        for after in [0, last.saturating_sub(2)] {
            let read = node.store.events(&node.who, id, after, 1000).await;
            prop_assert_eq!(&read.unwrap(), &run.log[after as usize..]);
        }
        let stored = node.read_run(id).await.unwrap();
        prop_assert_eq!(stored.last_sequence, last);
        let session = node.read(run.started.session.id).await.unwrap();
        let active = session
            .active_run
            .map(|active| (active.id, active.last_sequence));
        prop_assert_eq!(active, (!run.is_ended).then_some((id, last)));
    }
    Ok(())
}

/// A node that has a run again writes nothing of what it has left from the first time.
pub(crate) async fn an_earlier_owner_writes_nothing(database: Arc<Database>) {
    let first = Scene::new(&database).await;
    let second = first.another_node(&database).await;
    let started = first.start_new().await;
    let id = started.run.id;
    let take = async |scene: &Scene| {
        let taken = scene
            .store
            .take_expired_runs(scene.node, span(100), span(30), 10);
        taken.await.unwrap().pop().unwrap().run.fence
    };
    assert_eq!(take(&second).await, 1);
    let refused = first
        .append(first.new_events(deltas(&started.run, 2..=2)))
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert!(!first.store.has_run(id, first.node, 0).await.unwrap());
    let of_second = second.new_events(deltas(&started.run, 2..=3));
    second
        .append(NewEvents {
            fence: 1,
            ..of_second
        })
        .await
        .unwrap();
    assert_eq!(take(&first).await, 2);
    assert!(first.store.has_run(id, first.node, 2).await.unwrap());
    assert!(!first.store.has_run(id, first.node, 0).await.unwrap());
    // They would follow the log, but are of the first time.
    for mends_log in [false, true] {
        let stale = first.new_events(deltas(&started.run, 4..=4));
        let refused = first.append(NewEvents { mends_log, ..stale }).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    let mut end = first.end(&started, 4, "Hi");
    end.mends_log = true;
    assert!(first.store.finish_run(end.clone()).await.is_err());
    let fresh = first.new_events(deltas(&started.run, 4..=4));
    let fresh = NewEvents {
        fence: 2,
        mends_log: true,
        ..fresh
    };
    first.append(fresh).await.unwrap();
    end = first.end(&started, 5, "Hi");
    end.run.fence = 2;
    first.store.finish_run(end).await.unwrap();
    assert_eq!(first.sequences(id).await, [1, 2, 3, 4, 5]);
}

/// How many rows wait to be sorted or removed.
async fn recent(database: &Database) -> i64 {
    let path = database.sqlite_path();
    let mut connection = SqliteConnection::connect(&path.to_string_lossy())
        .await
        .unwrap();
    sqlx::query_scalar("SELECT count(*) FROM recent_events")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

pub(crate) async fn who_comes_alone_sorts_what_is_left(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let events = scene.new_events(deltas(&started.run, 2..=5));
    scene.append(events).await.unwrap();
    assert_eq!(recent(&database).await, 1);
    let log = scene.log(started.run.id).await;
    // Not closed: the process is killed.
    drop(scene);
    let scene = Scene::new(&database).await;
    assert_eq!(recent(&database).await, 0);
    assert_eq!(scene.log(started.run.id).await, log);
}

pub(crate) async fn what_is_sorted_is_removed(database: Arc<Database>) {
    const GROUPS: u64 = 3_000;
    let scene = Scene::new(&database).await;
    let [slow, fast] = [scene.start_new().await, scene.start_new().await];
    let events = scene.new_events(deltas(&slow.run, 2..=2));
    scene.append(events).await.unwrap();
    let mut most = 0;
    for sequence in 2..GROUPS {
        let events = scene.new_events(deltas(&fast.run, sequence..=sequence));
        scene.append(events).await.unwrap();
        if sequence % 500 == 0 {
            most = most.max(recent(&database).await);
        }
    }
    assert!(most < 1_000, "{most}");
    assert_eq!(scene.sequences(slow.run.id).await, [1, 2]);
    let expected: Vec<_> = (1..GROUPS).collect();
    assert_eq!(scene.sequences(fast.run.id).await, expected);
}
