//! Following a run, whenever one comes and whatever happens to the run meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use talkgraph_bus::Bus;
use talkgraph_domain::{EventBody, OnRestart, RunEvent, RunId};
use talkgraph_evaluation::{EvaluationLimits, Evaluator};
use talkgraph_llm::Models;
use talkgraph_runtime::{Catalog, Rules, RunLimits, Runner};
use talkgraph_tools::{OutputLimits, RegistryLimits, ToolRegistry};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas};
use crate::support::wait::soon;

/// What happens to a run that is being made.
#[derive(Debug, Clone)]
enum Act {
    /// So many events are written and told.
    Write(u64),
    /// Somebody comes who has seen this part of them, in percent.
    Attach(u64),
    /// Its server dies, and another takes it up.
    TakeUp,
    /// Others have their turn.
    Yield,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..6_u64).prop_map(Act::Write),
        5 => (0..=100_u64).prop_map(Act::Attach),
        1 => Just(Act::TakeUp),
        3 => Just(Act::Yield),
    ]
}

fn limits(tail_events: usize) -> RunLimits {
    RunLimits {
        active: 1,
        queued: 1,
        timeout: Duration::from_secs(1),
        history_messages: 1,
        log_events: 1_000_000,
        log_bytes: 1_000_000_000,
        answer_bytes: 1,
        tail_events,
        lease: Duration::from_secs(30),
        idempotency_ttl: Duration::from_secs(1),
        step_timeout: Duration::from_secs(1),
        max_steps: 1,
        parallel_tools: 1,
        tool_mistakes: 1,
        max_handoffs: 1,
        max_depth: 1,
        output_repairs: 1,
        empty_answers: 1,
        max_output_tokens: None,
        store_outage: Duration::from_secs(1),
        on_restart: OnRestart::Resume,
        resumed_at_once: 4,
        probation: Duration::from_secs(2),
        restarts: 1,
        session_queue: 1,
        log_retention: None,
        interrupt_expiry: Duration::from_secs(1),
        interrupts: 1,
        client_output_bytes: 1,
        input_timeout: Duration::from_secs(1),
        result_file_bytes: 1,
        progress_interval: Duration::ZERO,
        behind_events: u64::MAX,
        lag_events: u64::MAX,
    }
}

pub(crate) async fn whoever_attaches_sees_every_event_once(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let handle = Handle::current();
    let mut runner = TestRunner::new(Config {
        cases: 32,
        failure_persistence: None,
        ..Config::default()
    });
    let acts = (prop::collection::vec(any_act(), 0..30), 1..8_usize);
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&acts, |(acts, tail)| {
            handle.block_on(check(&scene, acts, tail))
        })
    });
    outcome.unwrap();
}

struct Follower {
    after: u64,
    seen: JoinHandle<Vec<RunEvent>>,
}

async fn attach(runner: &Arc<Runner>, scene: &Scene, run: RunId, after: u64) -> Follower {
    let mut events = runner.follow.run(&scene.who, run, after).await.unwrap();
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(RunEvent::clone(&event.unwrap()));
        }
        seen
    });
    Follower { after, seen }
}

/// One that has nothing to do.
fn evaluator() -> Evaluator {
    Evaluator::new(EvaluationLimits {
        program: None,
        workers: 1,
        workers_per_tenant: 1,
        queue: 1,
        queue_per_tenant: 1,
        queue_bytes: 1,
        queue_timeout: Duration::from_secs(1),
        job_timeout: Duration::from_secs(1),
        start_timeout: Duration::from_secs(1),
        memory_bytes: 1,
        idle: Duration::from_secs(1),
    })
}

fn runner(scene: &Scene, bus: &Arc<Bus>, tail: usize) -> Arc<Runner> {
    let registry = RegistryLimits {
        calls: 1,
        argument_bytes: 1,
        server_wait: Duration::ZERO,
        output: OutputLimits {
            parts: 1,
            files: 1,
            file_bytes: 1,
        },
    };
    let evaluator = evaluator();
    let tools = Arc::new(ToolRegistry::new(&registry, evaluator.clone()));
    let rules = Rules::new(
        Models::default(),
        Arc::clone(&tools),
        Vec::new(),
        &[],
        evaluator,
    );
    let agents = vec![scene.agent.clone()];
    let catalog = Catalog::new(agents, &scene.agent.name, &["a/b".to_owned()], rules).unwrap();
    Runner::new(
        Arc::clone(&scene.store),
        Arc::clone(bus),
        Models::default(),
        tools,
        catalog,
        limits(tail),
        None,
    )
}

async fn check(scene: &Scene, acts: Vec<Act>, tail: usize) -> Result<(), TestCaseError> {
    let bus = Arc::new(Bus::default());
    let runner = runner(scene, &bus, tail);
    let started = scene.start_new().await;
    let run = started.run.id;
    let mut live = bus.open(run, None, tail, tracing::Span::none());
    let mut log = scene.log(run).await;
    live.publish(&log.iter().cloned().map(Arc::new).collect::<Vec<_>>());
    let (mut followers, mut taken_up) = (Vec::new(), false);
    for act in acts {
        let last = log.len() as u64;
        match act {
            Act::Write(count) => {
                let events = deltas(&started.run, last + 1..=last + count);
                scene
                    .append(scene.new_events(events.clone()))
                    .await
                    .unwrap();
                log.extend(events.iter().map(|event| RunEvent::clone(event)));
                live.publish(&events);
            }
            Act::Attach(percent) => {
                followers.push(attach(&runner, scene, run, last * percent / 100).await);
            }
            // Once is enough: those who watch look for the new server only now and then.
            Act::TakeUp if !taken_up => {
                taken_up = true;
                bus.close(run);
                live = bus.open(run, None, tail, tracing::Span::none());
                live.seed(last, text(&log), 0);
            }
            Act::TakeUp => {}
            Act::Yield => tokio::task::yield_now().await,
        }
    }
    let end = scene.end(&started, log.len() as u64 + 1, "Hi");
    scene.store.finish_run(end.clone()).await.unwrap();
    log.extend(end.events.iter().map(|event| RunEvent::clone(event)));
    live.publish(&end.events);
    bus.close(run);
    for after in [0, log.len() as u64 / 2, log.len() as u64] {
        followers.push(attach(&runner, scene, run, after).await);
    }
    for follower in followers {
        let seen = soon("the end of what is followed", follower.seen)
            .await
            .unwrap();
        let expected = &log[usize::try_from(follower.after).unwrap()..];
        prop_assert_eq!(&seen, expected, "after {}", follower.after);
    }
    prop_assert_eq!(scene.log(run).await, log);
    Ok(())
}

fn text(log: &[RunEvent]) -> String {
    let delta = |event: &RunEvent| match &event.body {
        EventBody::TextDelta { delta, .. } => Some(delta.clone()),
        _ => None,
    };
    log.iter().filter_map(delta).collect()
}
