use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use talkgraph_domain::time::now;
use talkgraph_domain::{
    Cost, EventBody, FinishReason, Interrupt, InterruptId, InterruptKind, MessageId, Resolution,
    RunError, RunErrorCode, RunEvent, RunId, RunStatus, SessionId, StepPurpose, ToolCallId,
    ToolResult, Usage,
};
use talkgraph_store::StoreError;
use tokio::runtime::Handle;

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, event};

#[expect(clippy::too_many_lines, reason = "each kind of event")]
fn any_body() -> impl Strategy<Value = EventBody> {
    // Every character there is, U+0000 included.
    let text = || prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter);
    let usage = (any::<u64>(), any::<u64>()).prop_map(|(input_tokens, output_tokens)| Usage {
        input_tokens,
        output_tokens,
        ..Usage::default()
    });
    prop_oneof![
        (text(), any::<u64>()).prop_map(|(delta, end)| EventBody::TextDelta {
            message_id: MessageId::new(),
            delta,
            end,
        }),
        text().prop_map(|delta| EventBody::ReasoningDelta {
            message_id: MessageId::new(),
            delta,
            signature: None,
        }),
        text().prop_map(|text| EventBody::ReasoningDelta {
            message_id: MessageId::new(),
            delta: String::new(),
            signature: Some(text),
        }),
        text().prop_map(|name| EventBody::ToolCallStarted {
            message_id: MessageId::new(),
            tool_call_id: ToolCallId::new(),
            name,
        }),
        text().prop_map(|delta| EventBody::ToolCallArgumentsDelta {
            tool_call_id: ToolCallId::new(),
            delta,
        }),
        (text(), any::<bool>()).prop_map(|(text, is_error)| EventBody::ToolCallCompleted {
            result: ToolResult {
                tool_call_id: ToolCallId::new(),
                text,
                is_error,
                truncated: !is_error,
                parts: Vec::new(),
            },
        }),
        any::<(u32, u64)>().prop_map(|(step, discard_after)| EventBody::StepRestarted {
            step,
            discard_after,
        }),
        (any::<u32>(), text(), 0..3).prop_map(|(step, model, purpose)| {
            EventBody::StepStarted {
                step,
                model,
                purpose: match purpose {
                    0 => StepPurpose::Repair,
                    1 => StepPurpose::Summary,
                    _ => StepPurpose::Answer,
                },
            }
        }),
        text().prop_map(|data| EventBody::DataAdded {
            message_id: MessageId::new(),
            data
        }),
        any::<u32>().prop_map(|step| EventBody::StepFinished {
            step,
            finish_reason: FinishReason::ContentFilter,
            model: (step % 2 == 0).then(|| "a/b".to_owned()),
            usage: (step % 3 == 0).then(Usage::default),
            cost: (step % 5 == 0).then_some(Cost::from_nanos(step.into())),
            summary: None,
        }),
        usage.prop_map(|usage| EventBody::UsageUpdated {
            usage,
            cost: (usage.input_tokens % 2 == 0).then_some(Cost::ZERO),
        }),
        text().prop_map(|message| EventBody::RunFailed {
            error: RunError {
                code: RunErrorCode::IdleTimeout,
                message,
                retryable: false,
            },
        }),
        (text(), text()).prop_map(|(tool, reason)| {
            let mut interrupt = interrupt(tool);
            let rejected = Resolution::Rejected { reason };
            interrupt.resolve(rejected, now()).unwrap();
            EventBody::InterruptResolved {
                interrupt: Box::new(interrupt),
            }
        }),
        text().prop_map(|tool| EventBody::InterruptRequested {
            interrupt: Box::new(interrupt(tool)),
        }),
        Just(EventBody::RunCancelled),
    ]
}

fn interrupt(tool: String) -> Interrupt {
    Interrupt {
        id: InterruptId::new(),
        kind: InterruptKind::ClientToolCall,
        run_id: RunId::new(),
        session_id: SessionId::new(),
        tool_call_id: ToolCallId::new(),
        arguments: serde_json::json!({ "said": tool, "times": 0.1 }),
        tool,
        created_at: now(),
        expires_at: now(),
        resolution: None,
        question: None,
    }
}

/// Groups of events as they are appended, and where a reader goes on from.
fn any_log() -> impl Strategy<Value = (Vec<Vec<EventBody>>, u64)> {
    let group = prop::collection::vec(any_body(), 1..6);
    (prop::collection::vec(group, 0..8), 0..45_u64)
}

pub(crate) async fn a_log_reads_as_it_was_written(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let handle = Handle::current();
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&any_log(), |(groups, after)| {
            handle.block_on(check_log(&scene, groups, after))
        })
    });
    outcome.unwrap();
}

async fn check_log(
    scene: &Scene,
    groups: Vec<Vec<EventBody>>,
    after: u64,
) -> Result<(), TestCaseError> {
    let run = scene.start_new().await.run.id;
    let mut written = scene.log(run).await;
    let mut appends = Vec::new();
    for bodies in groups {
        let numbered = bodies.into_iter().zip(written.len() as u64 + 1..);
        let events: Vec<_> = numbered
            .map(|(body, sequence)| event(run, sequence, body))
            .collect();
        written.extend(events.iter().map(|event| RunEvent::clone(event)));
        appends.push(scene.append(scene.new_events(events)));
    }
    for outcome in futures_util::future::join_all(appends).await {
        outcome.unwrap();
    }
    let read = scene.store.events(&scene.who, run, after, 1000).await;
    let expected: Vec<_> = written
        .iter()
        .filter(|event| event.sequence > after)
        .cloned()
        .collect();
    prop_assert_eq!(read.unwrap(), expected);
    let stored = scene.read_run(run).await.unwrap();
    prop_assert_eq!(stored.last_sequence, written.len() as u64);
    Ok(())
}

pub(crate) async fn a_limit_ends_with_a_whole_group(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    for group in [2..=4, 5..=5, 6..=10] {
        let events = scene.new_events(deltas(&started.run, group));
        scene.append(events).await.unwrap();
    }
    let read = async |after, limit| {
        let (store, who) = (&scene.store, &scene.who);
        let events = store.events(who, started.run.id, after, limit).await;
        let sequences: Vec<_> = events.unwrap().iter().map(|e| e.sequence).collect();
        sequences
    };
    assert_eq!(read(0, 1).await, [1]);
    assert_eq!(read(0, 2).await, [1, 2, 3, 4]);
    assert_eq!(read(3, 1).await, [4], "no matter where a group begins");
    assert_eq!(read(3, 2).await, [4, 5]);
    assert_eq!(read(4, 100).await, [5, 6, 7, 8, 9, 10]);
    assert_eq!(read(9, 100).await, [10]);
    assert!(read(10, 100).await.is_empty());
    assert!(read(u64::MAX >> 1, 100).await.is_empty());
}

pub(crate) async fn a_broken_log_takes_nothing_but_its_end(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let append = async |range| {
        scene
            .append(scene.new_events(deltas(&started.run, range)))
            .await
    };
    append(2..=3).await.unwrap();
    let twice = append(3..=4).await;
    assert!(matches!(twice, Err(StoreError::Conflict)), "{twice:?}");
    let next = append(5..=6).await;
    assert!(matches!(next, Err(StoreError::Conflict)), "{next:?}");
    let end = scene.store.finish_run(scene.end(&started, 7, "Hi")).await;
    assert!(matches!(end, Err(StoreError::Conflict)), "{end:?}");

    let mut mended = scene.end(&started, 4, "Hi");
    mended.mends_log = true;
    scene.store.finish_run(mended).await.unwrap();
    assert_eq!(scene.sequences(started.run.id).await, [1, 2, 3, 4]);
    let run = scene.read_run(started.run.id).await.unwrap();
    assert_eq!(run.status, RunStatus::Completed);

    // Other runs never noticed.
    let other = scene.start_new().await;
    let events = scene.new_events(deltas(&other.run, 2..=2));
    scene.append(events).await.unwrap();
}

pub(crate) async fn a_log_has_no_hole(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    for hole in [vec![3], vec![1, 2], vec![2, 4], vec![2, 3, 3]] {
        let started = scene.start_new().await;
        let numbered: Vec<_> = hole.iter().map(|&n| deltas(&started.run, n..=n)).collect();
        let events = scene.new_events(numbered.concat());
        scene.append(events).await.unwrap_err();
        assert_eq!(scene.sequences(started.run.id).await, [1]);
    }
    let started = scene.start_new().await;
    let end = scene.store.finish_run(scene.end(&started, 3, "Hi")).await;
    assert!(matches!(end, Err(StoreError::Unavailable(_))), "{end:?}");
    let run = scene.read_run(started.run.id).await.unwrap();
    assert_eq!((run.status, run.last_sequence), (RunStatus::Queued, 1));
    let session = scene.read(started.session.id).await.unwrap();
    assert_eq!(session.head, Some(started.message.id));
}

pub(crate) async fn a_mended_end_may_be_tried_again(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    let append = async |range| {
        scene
            .append(scene.new_events(deltas(&started.run, range)))
            .await
    };
    append(1..=1).await.unwrap_err();
    let mut mended = scene.end(&started, 1, "Hi");
    mended.mends_log = true;
    // Numbered wrongly: refused, and the log is as broken as before.
    let refused = scene.store.finish_run(mended.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    append(2..=2).await.unwrap_err();
    mended.events = scene.end(&started, 2, "Hi").events;
    scene.store.finish_run(mended).await.unwrap();
    assert_eq!(scene.sequences(started.run.id).await, [1, 2]);
}

pub(crate) async fn a_log_belongs_to_one_owner(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let started = scene.start_new().await;
    for (tenant, owner) in [("acme", "bob"), ("other", "ann")] {
        let other = scene.seen_by(tenant, owner);
        assert!(other.log(started.run.id).await.is_empty());
    }
}
