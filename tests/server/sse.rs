//! GraphQL over Server-Sent Events.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::{Client, body, send};
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::sse::{Events, Frame};
use crate::support::talk::{
    WHOLE, all, chat_subscription, events, follow, half_said, input, run_events,
    run_events_subscription, send as say,
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

/// The ids of the frames that are left, with the frames.
async fn frames(mut stream: Events) -> Vec<(Option<u64>, Frame)> {
    let mut all = Vec::new();
    while let Some(frame) = stream.frame().await {
        if frame != Frame::Comment {
            all.push((stream.id, frame));
        }
    }
    all
}

/// Clients need not select the sequence to be able to resume.
#[tokio::test]
async fn the_events_of_a_run_are_numbered() {
    let server = TestServer::start().await;
    let client = server.client();
    let chat = "subscription($input: ChatInput!) { chat(input: $input) { run { id } } }";
    let said = frames(client.events(chat, &input(None, "one two")).await).await;
    let Some((_, Frame::Next(first))) = said.first() else {
        panic!("{said:?}")
    };
    let run = first["data"]["chat"]["run"]["id"].clone();
    let log = run_events(&client, run.as_str().unwrap(), 0).await;
    let last = log.len() as u64;
    let numbers = |from: u64| (from..=last).map(Some).chain([None]).collect::<Vec<_>>();
    let ids = |frames: Vec<(Option<u64>, Frame)>| frames.into_iter().map(|(id, _)| id);
    assert_eq!(ids(said).collect::<Vec<_>>(), numbers(1));
    let follow = "subscription($run: ID!) { runEvents(runId: $run, after: 2) { at } }";
    let followed = frames(client.events(follow, &json!({ "run": run })).await).await;
    assert_eq!(ids(followed).collect::<Vec<_>>(), numbers(3));
}

#[tokio::test]
async fn what_is_no_event_of_a_run_has_no_number() {
    let server = TestServer::start().await;
    let client = server.client();
    let unknown = "subscription { runEvents(runId: \"run_01h455vb4pex5vsknk084sn02q\") { at } }";
    let mutation = "mutation { createSession { session { title } } }";
    for document in ["{ viewer { owner } }", mutation, unknown] {
        let frames = frames(client.events(document, &json!({})).await).await;
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert!(frames.iter().all(|(id, _)| id.is_none()), "{frames:?}");
    }
}

/// Sends `runEvents` as a client that has lost its connection does.
async fn come_back(client: &Client, over_get: bool, variables: &Value, id: &str) -> Events {
    let document = run_events_subscription();
    let request = match over_get {
        true => client.get(&[("query", &document), ("variables", &variables.to_string())]),
        false => client.post(&document, variables),
    };
    let request = request
        .header("accept", "text/event-stream")
        .header("last-event-id", id);
    Events::new(request.send().await.unwrap())
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_after_its_last_event() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "one two").await;
    let log = run_events(&client, &run, 0).await;
    for over_get in [false, true] {
        for (id, after, expected) in [
            (3, None, 3),
            (0, None, 0),
            // As it was first asked for, and what has come since.
            (4, Some(1), 4),
            (1, Some(4), 4),
            (log.len(), None, log.len()),
        ] {
            let variables = json!({ "run": run, "after": after });
            let stream = come_back(&client, over_get, &variables, &id.to_string()).await;
            assert_eq!(
                events(stream.rest().await),
                log[expected..],
                "{id} {after:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_comes_back_while_the_run_is_made() {
    let server = TestServer::start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, run) = say(&client, None, "Count").await;
    let mut stream = follow(&client, &run, 0).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&json!("two ")) {
        let response = stream.next().await.unwrap();
        seen.push(response["data"]["runEvents"]["delta"].clone());
    }
    let last = stream.id.unwrap();
    assert_eq!(last, seen.len() as u64);
    drop(stream);
    let variables = json!({ "run": run });
    let again = come_back(&client, true, &variables, &last.to_string()).await;
    server.upstream.release();
    let rest = events(again.rest().await);
    assert_eq!(rest[0]["delta"], "three");
    assert_eq!(rest[0]["sequence"], last + 1);
}

#[tokio::test]
async fn a_last_event_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "Hello").await;
    for id in ["", "x", "-1", "1.5", "18446744073709551616"] {
        let request = client
            .post(&run_events_subscription(), &json!({ "run": run }))
            .header("accept", "text/event-stream")
            .header("last-event-id", id);
        let (status, body) = body(request).await;
        assert_eq!(status, 400, "{id:?}: {body}");
        let error = &body["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_REQUEST");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Last-Event-ID"), "{message}");
    }
    let stream = come_back(&client, false, &json!({ "run": run }), "999").await;
    let answers = stream.rest().await;
    assert_eq!(
        answers[0]["errors"][0]["extensions"]["code"],
        "BAD_USER_INPUT"
    );
    // It means nothing to what is no stream of events.
    let query = client
        .post("{ viewer { owner } }", &json!({}))
        .header("last-event-id", "x");
    assert_eq!(body(query).await.0, 200);
}

/// Clients send it by themselves when they reconnect, and the run they have lost goes on.
#[tokio::test]
async fn coming_back_starts_no_second_run() {
    let server = TestServer::start().await;
    let request = server
        .client()
        .post(&chat_subscription(), &input(None, "Hello"))
        .header("accept", "text/event-stream")
        .header("last-event-id", "4");
    let (status, body) = body(request).await;
    assert_eq!(status, 409);
    assert_eq!(body["errors"][0]["extensions"]["code"], "CONFLICT");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("runEvents"), "{message}");
    assert_eq!(server.upstream.received().len(), 0);
}

#[tokio::test]
async fn a_subscription_of_two_fields_is_refused() {
    let server = TestServer::start().await;
    let field = "runEvents(runId: \"run_01h455vb4pex5vsknk084sn02q\") { at }";
    let document = format!("subscription {{ a: {field} b: {field} }}");
    let request = server
        .client()
        .post(&document, &json!({}))
        .header("accept", "text/event-stream");
    let (status, body) = body(request).await;
    assert_eq!(status, 400, "{body}");
    let code = &body["errors"][0]["extensions"]["code"];
    assert_eq!(code, "GRAPHQL_VALIDATION_FAILED");
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
