//! Runs whose server has gone are taken up by the next one.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::{half_way, process};
use crate::support::client::Client;
use crate::support::sse::{Events, Frame};
use crate::support::talk::{
    SEND, all, chat, ended_run, events, follow, half_said, input, messages, run_events,
    run_events_subscription, send, string, wait_status,
};
use crate::support::upstream::{Script, Upstream};

/// The first events of a run that is being made.
async fn first(stream: &mut Events, count: usize) -> Vec<Value> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(events(vec![stream.next().await.unwrap()]));
    }
    seen
}

/// The log of a run that was taken up: what was told stays as it was told, the step is made
/// again, and what a client puts together is what is stored.
async fn check_taken_up(client: &Client, id: &str, seen: &[Value], text: &str) {
    let ended = ended_run(client, id).await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    assert_eq!(ended["output"]["text"], text);
    let log = run_events(client, id, 0).await;
    assert_eq!(log[..seen.len()], *seen);
    let restarted = &log[seen.len()];
    assert_eq!(restarted["__typename"], "StepRestarted", "{restarted}");
    assert_eq!(
        (&restarted["step"], &restarted["discardAfter"]),
        (&json!(1), &json!(2))
    );
    let kinds = all(&log, "__typename");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "RunStarted").count(),
        1
    );
    assert_eq!(kinds.last().unwrap(), &"RunCompleted");
    let mut so_far = String::new();
    for (event, sequence) in log.iter().zip(1..) {
        assert_eq!(event["sequence"], sequence);
        if event["__typename"] == "StepRestarted" {
            so_far.clear();
        }
        if let Some(delta) = event["delta"].as_str() {
            so_far += delta;
            assert_eq!(event["message"]["text"], so_far, "{event}");
        }
    }
    assert_eq!(so_far, text);
}

#[tokio::test]
async fn a_run_whose_server_was_killed_is_made_by_the_next() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut killed = process(&folder, &upstream, &[]).await;
    let (session, id) = half_way(&upstream, &killed).await;
    let mut stream = follow(&killed.client(), &id, 0).await;
    let seen = first(&mut stream, 4).await;
    killed.kill();
    assert_eq!(killed.exit_code().await, None);

    let client_of_next = process(&folder, &upstream, &[]).await;
    let client = client_of_next.client();
    check_taken_up(&client, &id, &seen, "echo 2: Count").await;
    let said = ["USER: Count", "ASSISTANT: echo 2: Count"];
    assert_eq!(messages(&client, &session).await, said);
    let next = chat(&client, Some(&session), "Again").await;
    assert_eq!(next["message"]["text"], "echo 4: Again");
}

/// Once more, and with somebody who watches the run from before it is taken up.
#[tokio::test]
async fn a_run_is_taken_up_again_and_again_but_not_for_ever() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    // Each time it outlives its probation: it is no suspect.
    let settings = [("runs.restarts", "2"), ("runs.probation_ms", "1")];
    let mut server = process(&folder, &upstream, &settings).await;
    let (_, id) = half_way(&upstream, &server).await;
    for restarts in 1..=2 {
        server.kill();
        server.exit_code().await;
        upstream.then(half_said());
        server = process(&folder, &upstream, &settings).await;
        let mut stream = follow(&server.client(), &id, 2).await;
        // Each time: the step's two pieces, then the restart.
        let seen = first(&mut stream, 2 + 3 * restarts).await;
        let kinds = all(&seen, "__typename");
        let is_restart = |kind: &&&Value| **kind == "StepRestarted";
        assert_eq!(kinds.iter().filter(is_restart).count(), restarts);
        assert_eq!(seen.last().unwrap()["message"]["text"], "one two ");
        upstream.wait_holding(1 + restarts).await;
    }
    server.kill();
    server.exit_code().await;
    server = process(&folder, &upstream, &settings).await;
    let ended = ended_run(&server.client(), &id).await;
    assert_eq!(ended["status"], "FAILED");
    assert_eq!(ended["error"]["code"], "INTERRUPTED");
    assert_eq!(ended["output"]["text"], "one two ");
}

#[tokio::test]
async fn a_run_can_be_set_to_fail_instead() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let settings = [("runs.on_restart", "fail")];
    let mut killed = process(&folder, &upstream, &settings).await;
    let (session, id) = half_way(&upstream, &killed).await;
    let mut stream = follow(&killed.client(), &id, 0).await;
    let seen = first(&mut stream, 4).await;
    killed.kill();
    killed.exit_code().await;

    let restarted = process(&folder, &upstream, &settings).await;
    let client = restarted.client();
    let ended = ended_run(&client, &id).await;
    assert_eq!(ended["status"], "FAILED");
    assert_eq!(
        ended["error"],
        json!({ "code": "INTERRUPTED", "retryable": true,
            "message": "the server stopped while the answer was being made" })
    );
    assert_eq!(ended["output"]["text"], "one two ");
    let log = run_events(&client, &id, 0).await;
    assert_eq!(log[..4], seen);
    assert_eq!(log.last().unwrap()["__typename"], "RunFailed");
    let next = chat(&client, Some(&session), "Again").await;
    assert_eq!(next["message"]["text"], "echo 4: Again");
}

/// A stopping server leaves what is not done in time to the next one, and tells everybody who
/// watches where to go on.
#[tokio::test]
async fn a_run_that_does_not_end_is_left_to_the_next_server() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let settings = [("http.drain_timeout_ms", "200")];
    let mut stopping = process(&folder, &upstream, &settings).await;
    let (_, id) = half_way(&upstream, &stopping).await;
    let client = stopping.client();
    let mut stream = follow(&client, &id, 0).await;
    let seen = first(&mut stream, 4).await;
    let mut socket = client.socket().await;
    let variables = json!({ "run": id, "after": 4 });
    socket
        .subscribe("1", &run_events_subscription(), &variables)
        .await;
    let mut parts = client.parts(&run_events_subscription(), &variables).await;
    stopping.terminate();

    let last = stream.next().await.unwrap();
    let extensions = json!({ "code": "UNAVAILABLE", "resumable": true, "after": 4 });
    let check = |error: &Value| {
        for (name, value) in extensions.as_object().unwrap() {
            assert_eq!(error["extensions"][name], *value, "{error}");
        }
    };
    check(&last["errors"][0]);
    // Without `complete`, so that a browser's EventSource comes back by itself.
    assert_eq!(stream.frame().await, None::<Frame>);
    check(&socket.message().await["payload"]["errors"][0]);
    check(&parts.next().await.unwrap()["errors"][0]);
    assert_eq!(stopping.exit_code().await, Some(3), "{}", stopping.log());

    let restarted = process(&folder, &upstream, &[]).await;
    check_taken_up(&restarted.client(), &id, &seen, "echo 2: Count").await;
}

/// What waited for its turn has it after the restart, too.
#[tokio::test]
async fn runs_that_waited_are_taken_up_in_their_order() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let settings = [("runs.active", "1")];
    let mut killed = process(&folder, &upstream, &settings).await;
    let (session, first) = half_way(&upstream, &killed).await;
    let client = killed.client();
    let mut waiting = Vec::new();
    for text in ["Two", "Three"] {
        let mut variables = input(Some(&session), text);
        variables["input"]["onActiveRun"] = "ENQUEUE".into();
        let data = client.data(SEND, &variables).await;
        waiting.push(string(&data["sendMessage"]["run"]["id"]));
    }
    // One that waits for a place, in a session of its own.
    let (_, queued) = send(&client, None, "Elsewhere").await;
    wait_status(&client, &queued, "QUEUED").await;
    killed.kill();
    killed.exit_code().await;

    upstream.then(Script::tokens(["one"]));
    let restarted = process(&folder, &upstream, &settings).await;
    let client = restarted.client();
    for id in waiting.iter().chain([&first, &queued]) {
        assert_eq!(ended_run(&client, id).await["status"], "COMPLETED");
    }
    let said = messages(&client, &session).await;
    let said: Vec<_> = said
        .iter()
        .filter(|line| line.starts_with("USER"))
        .collect();
    assert_eq!(said, ["USER: Count", "USER: Two", "USER: Three"]);
}
