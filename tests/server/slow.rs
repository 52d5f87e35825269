//! Subscribers that read slowly, or not at all.

use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::server::{Setup, TestServer};
use crate::support::sse::Events;
use crate::support::talk::{all, ended_run, send};
use crate::support::upstream::Script;
use crate::support::wait::eventually;
use crate::websocket_fair::{FOLLOW, WORDS};

/// A long run that waits after its first word, and a stream that has caught up with it.
async fn watched(server: &TestServer, client: &Client) -> (String, Events) {
    let words = (1..WORDS).map(|word| format!("{word:<500}"));
    let script = Script::stream().text(["first "]).hold().text(words);
    server.upstream.then(script.ended());
    let (_, run) = send(client, None, "Say much").await;
    let mut stream = client.events(FOLLOW, &json!({ "run": run })).await;
    for sequence in 1..=3 {
        let response = stream.next().await.unwrap();
        assert_eq!(response["data"]["runEvents"]["sequence"], sequence);
    }
    (run, stream)
}

/// Events that follow each other, merged or not.
fn check_whole(events: &[Value], after: u64) {
    let mut last = after;
    for event in events {
        let first = &event["firstSequence"];
        let first = first.as_u64().or(event["sequence"].as_u64()).unwrap();
        assert_eq!(first, last + 1, "{event}");
        last = event["sequence"].as_u64().unwrap();
    }
    let kinds = all(events, "__typename");
    assert_eq!(*kinds.last().unwrap(), "RunCompleted");
    let text: String = events
        .iter()
        .filter_map(|event| event["a"].as_str())
        .collect();
    let expected: String = (1..WORDS).map(|word| format!("{word:<500}")).collect();
    assert_eq!(text, expected);
}

#[tokio::test]
async fn pieces_are_merged_for_who_is_behind_and_for_nobody_else() {
    let server = Setup::new()
        .set("runs.subscriber_behind_events", 16)
        .start()
        .await;
    let client = server.client();
    let (run, mut slow) = watched(&server, &client).await;
    server.upstream.release();
    // The run and everybody else do not notice.
    ended_run(&client, &run).await;
    let replay = client
        .events(FOLLOW, &json!({ "run": run }))
        .await
        .rest()
        .await;
    let mut seen = Vec::new();
    while let Some(mut response) = slow.next().await {
        seen.push(response["data"]["runEvents"].take());
    }
    check_whole(&seen, 3);
    assert!(seen.len() < WORDS, "{} events", seen.len());
    let merged = seen
        .iter()
        .filter(|event| event["firstSequence"] != event["sequence"]);
    assert!(
        merged
            .filter(|event| event["firstSequence"] != Value::Null)
            .count()
            > 0
    );
    assert!(
        replay.len() > WORDS,
        "what was before one came is told as it was"
    );
    for event in &replay {
        let event = &event["data"]["runEvents"];
        assert!(
            event["firstSequence"] == Value::Null || event["firstSequence"] == event["sequence"]
        );
    }
}

#[tokio::test]
async fn who_falls_too_far_behind_is_told_where_to_go_on() {
    let server = Setup::new()
        .set("runs.subscriber_lag_events", 100)
        .start()
        .await;
    let client = server.client();
    let (run, mut slow) = watched(&server, &client).await;
    server.upstream.release();
    ended_run(&client, &run).await;
    let mut seen = Vec::new();
    let error = loop {
        let mut response = slow.next().await.unwrap();
        match response.pointer_mut("/errors/0/extensions") {
            Some(extensions) => break extensions.take(),
            None => seen.push(response["data"]["runEvents"].take()),
        }
    };
    assert_eq!(
        (&error["code"], &error["resumable"]),
        (&json!("LIMIT_EXCEEDED"), &json!(true))
    );
    let after = error["after"].as_u64().unwrap();
    assert_eq!(
        seen.last()
            .map_or(3, |event| event["sequence"].as_u64().unwrap()),
        after
    );
    let document = FOLLOW.replace("runId: $run", &format!("runId: $run, after: {after}"));
    let rest = client
        .events(&document, &json!({ "run": run }))
        .await
        .rest()
        .await;
    seen.extend(
        rest.into_iter()
            .map(|mut response| response["data"]["runEvents"].take()),
    );
    check_whole(&seen, 3);
}

/// A client that reads nothing loses its connection, and the server the stream.
#[tokio::test]
async fn who_reads_nothing_is_let_go() {
    let server = Setup::new()
        .set("http.stream_stall_timeout_ms", 100)
        .start()
        .await;
    let client = server.client();
    let (run, unread) = watched(&server, &client).await;
    server.upstream.release();
    ended_run(&client, &run).await;
    eventually("the stream to be let go", async || {
        let request = client.request(reqwest::Method::GET, "/health/ready");
        (body(request).await.1["streams"] == 0).then_some(())
    })
    .await;
    drop(unread);
}
