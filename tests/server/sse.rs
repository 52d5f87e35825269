//! GraphQL over Server-Sent Events.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::{body, send};
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::sse::Frame;
use crate::support::talk::{
    WHOLE, all, chat_subscription, events, follow, half_said, input, run_events_subscription,
    send as say,
};
use crate::support::wait::eventually;

#[tokio::test]
async fn a_stream_greets_goes_on_and_completes() {
    let server = TestServer::start().await;
    let mut stream = server
        .client()
        .events(&chat_subscription(), &input(None, "Hello"))
        .await;
    let header = |name: &str| stream.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(
        stream.frame().await,
        Some(Frame::Comment),
        "a hello at once"
    );
    let mut frames = Vec::new();
    while let Some(frame) = stream.frame().await {
        frames.push(frame);
    }
    assert_eq!(frames.pop(), Some(Frame::Complete), "and nothing after it");
    assert!(frames.iter().all(|frame| matches!(frame, Frame::Next(_))));
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive() {
    let server = Setup::new().set("http.keep_alive_ms", 20).start().await;
    server.upstream.then(half_said());
    let mut stream = server
        .client()
        .events(&chat_subscription(), &input(None, "Count"))
        .await;
    while stream.next().await.unwrap()["data"]["chat"]["delta"] != "two " {}
    for _ in 0..3 {
        assert_eq!(stream.frame().await, Some(Frame::Comment));
    }
    server.upstream.release();
    let rest = events(stream.rest().await);
    assert_eq!(rest[0]["message"]["text"], WHOLE);
}

#[tokio::test]
async fn queries_and_mutations_stream_one_answer() {
    let server = TestServer::start().await;
    let client = server.client();
    let query = client.events("{ viewer { owner } }", &json!({})).await;
    assert_eq!(
        query.rest().await,
        [json!({ "data": { "viewer": { "owner": "dev" } } })]
    );
    let document = "mutation($input: ChatInput!) { chat(input: $input) { message { text } } }";
    let mutation = client.events(document, &input(None, "Hello")).await;
    assert_eq!(
        mutation.rest().await,
        [json!({ "data": { "chat": { "message": { "text": "echo 2: Hello" } } } })]
    );
}

#[tokio::test]
async fn a_run_is_followed_over_get() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "Hello").await;
    let variables = json!({ "run": run, "after": 1 }).to_string();
    let request = client
        .get(&[
            ("query", &run_events_subscription()),
            ("variables", &variables),
        ])
        .header("accept", "text/event-stream");
    let text = send(request).await.text().await.unwrap();
    assert!(
        text.starts_with(":\n\nevent: next\nid: 2\ndata: {"),
        "{text}"
    );
    assert!(text.ends_with("event: complete\ndata:\n\n"), "{text}");
    assert!(
        text.contains("RunCompleted") && !text.contains("RunStarted"),
        "{text}"
    );
}

#[tokio::test]
async fn what_changes_something_is_refused_over_get() {
    let server = TestServer::start().await;
    let chat = "chat(input: { message: { text: \"Hi\" } }) { sequence }";
    for document in [
        "mutation { createSession { session { id } } }".to_owned(),
        format!("subscription {{ {chat} }}"),
        format!("subscription {{ ...F }} fragment F on Subscription {{ {chat} }}"),
        format!("subscription {{ runEvents: {chat} }}"),
    ] {
        let request = server
            .client()
            .get(&[("query", document.as_str())])
            .header("accept", "text/event-stream");
        assert_eq!(send(request).await.status(), 405, "{document}");
    }
    assert_eq!(server.upstream.received().len(), 0);
}

#[tokio::test]
async fn what_is_wrong_is_no_stream() {
    let server = TestServer::start().await;
    let client = server.client();
    for (document, expected) in [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { a: runEvents }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
    ] {
        let request = client.post(document, &json!({}));
        let (status, answer) = body(request.header("accept", "text/event-stream")).await;
        assert_eq!(status, 400, "{document}");
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(code, expected, "{document}: {answer}");
    }
}

/// Clients write what they like at the top of a subscription, as long as it is one field.
#[tokio::test]
async fn fragments_at_the_top_of_a_subscription_are_followed() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "Hello").await;
    let field = format!("runEvents(runId: \"{run}\") {{ sequence }}");
    let whole = format!("subscription {{ {field} }}");
    let expected = events(client.events(&whole, &json!({})).await.rest().await);
    assert!(!expected.is_empty());
    for document in [
        format!("subscription {{ ...F }} fragment F on Subscription {{ {field} }}"),
        format!("subscription {{ ... {{ ... on Subscription {{ {field} }} }} }}"),
        format!(
            "subscription {{ ...F }} fragment F on Subscription {{ ...G }} \
             fragment G on Subscription {{ {field} }}"
        ),
    ] {
        let followed = events(client.events(&document, &json!({})).await.rest().await);
        assert_eq!(followed, expected, "{document}");
    }
    for document in [
        format!("subscription {{ a: {field} b: {field} }}"),
        format!("subscription {{ ...F b: {field} }} fragment F on Subscription {{ {field} }}"),
        format!("subscription {{ ... @include(if: true) {{ {field} }} }}"),
        format!("subscription {{ ...F }} fragment F on Query {{ {field} }}"),
    ] {
        let request = client.post(&document, &json!({}));
        let (status, answer) = body(request.header("accept", "text/event-stream")).await;
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(
            (status, code),
            (400, &json!("GRAPHQL_VALIDATION_FAILED")),
            "{document}"
        );
    }
}

/// A client that asks for little is sent little.
#[tokio::test]
async fn only_what_is_selected_is_sent() {
    let server = TestServer::start().await;
    let document = "subscription($input: ChatInput!) { chat(input: $input) {
        ... on TextDelta { delta } ... on RunCompleted { run { status } } } }";
    let stream = server.client().events(document, &input(None, "Hi")).await;
    let said = events(stream.rest().await);
    let deltas: Vec<_> = all(&said, "delta")
        .into_iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(deltas, ["echo ", "2: ", "Hi"]);
    assert_eq!(said.first(), Some(&json!({})));
    assert_eq!(
        said.last(),
        Some(&json!({ "run": { "status": "COMPLETED" } }))
    );
}

#[tokio::test]
async fn one_caller_cannot_take_all_streams() {
    let server = Setup::new()
        .set("http.streams", 1)
        .key("key-of-ann", "acme", "ann")
        .key("key-of-bob", "acme", "bob")
        .start()
        .await;
    server.upstream.then(half_said()).then(half_said());
    let (ann, bob) = (
        server.client_with("key-of-ann"),
        server.client_with("key-of-bob"),
    );
    let chat = chat_subscription();
    let open = ann.events(&chat, &input(None, "Count")).await;
    let request = ann
        .post(&chat, &input(None, "Count"))
        .header("accept", "multipart/mixed;subscriptionSpec=1.0");
    let (status, refusal) = body(request).await;
    assert_eq!(status, 429, "{refusal}");
    let extensions = &refusal["errors"][0]["extensions"];
    assert_eq!(*extensions, json!({ "code": "LIMIT_EXCEEDED", "limit": 1 }));
    let mut other = bob.events(&chat, &input(None, "Count")).await;
    assert!(other.next().await.is_some());
    // Its place is free again once it has gone.
    drop(open);
    eventually("a free place", async || {
        let request = ann.post("{ viewer { owner } }", &json!({}));
        let response = request.header("accept", "text/event-stream").send().await;
        (response.unwrap().status() == 200).then_some(())
    })
    .await;
}

/// The run is made elsewhere and goes on: without `complete` the client comes back.
#[tokio::test]
async fn a_stopping_server_does_not_complete_what_goes_on() {
    let database = Arc::new(Database::Sqlite(TempDir::new().unwrap()));
    let maker = Setup::new().on(&database).start().await;
    let mut server = Setup::new().on(&database).start().await;
    maker.upstream.then(half_said());
    let (_, run) = say(&maker.client(), None, "Count").await;
    maker.upstream.wait_holding(1).await;
    let mut stream = follow(&server.client(), &run, 0).await;
    assert!(stream.next().await.is_some());
    server.begin_stop();
    while let Some(frame) = stream.frame().await {
        assert_ne!(frame, Frame::Complete);
    }
}
