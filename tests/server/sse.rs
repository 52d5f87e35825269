//! GraphQL over Server-Sent Events.

use serde_json::{Value, json};

use crate::support::client::{body, send};
use crate::support::server::{Setup, TestServer};
use crate::support::sse::Frame;
use crate::support::talk::{
    WHOLE, all, chat_subscription, events, half_said, input, run_events_subscription, send as say,
};

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
    assert!(text.starts_with(":\n\nevent: next\ndata: {"), "{text}");
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
