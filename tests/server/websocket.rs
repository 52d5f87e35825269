//! GraphQL over a WebSocket, for clients that keep to the protocol.

use serde_json::{Value, json};

use crate::chat::check_texts;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    WHOLE, chat_subscription, events, half_said, input, run_events, string,
};

const VIEWER: &str = "{ viewer { owner } }";

#[tokio::test]
async fn an_answer_streams_over_a_socket() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut socket = client.socket().await;
    socket
        .subscribe("a", &chat_subscription(), &input(None, "one two three"))
        .await;
    let said = events(socket.rest("a").await);
    assert_eq!(check_texts(&said), "echo 2: one two three");
    let run = string(&said[0]["run"]["id"]);
    assert_eq!(
        run_events(&client, &run, 0).await,
        said,
        "the same over SSE"
    );
}

#[tokio::test]
async fn queries_and_mutations_run_over_a_socket() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    socket.subscribe("q", VIEWER, &json!({})).await;
    assert_eq!(
        socket.rest("q").await,
        [json!({ "data": { "viewer": { "owner": "dev" } } })]
    );
    let document = "mutation($input: ChatInput!) { chat(input: $input) { message { text } } }";
    socket.subscribe("m", document, &input(None, "Hello")).await;
    assert_eq!(
        socket.rest("m").await,
        [json!({ "data": { "chat": { "message": { "text": "echo 2: Hello" } } } })]
    );
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    socket.say(&json!({ "type": "ping" })).await;
    assert_eq!(socket.message().await, json!({ "type": "pong" }));
    socket
        .say(&json!({ "type": "ping", "payload": { "n": 1 } }))
        .await;
    assert_eq!(
        socket.message().await,
        json!({ "type": "pong", "payload": { "n": 1 } })
    );
    // A pong that nobody asked for is allowed, with a payload too.
    socket.say(&json!({ "type": "pong" })).await;
    socket
        .say(&json!({ "type": "pong", "payload": { "n": 1 } }))
        .await;
    assert!(socket.is_quiet().await);
}

#[tokio::test]
async fn operations_go_on_side_by_side() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    server.upstream.then(half_said());
    socket
        .subscribe("slow", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    for id in ["a", "b", "c"] {
        socket.subscribe(id, VIEWER, &json!({})).await;
        assert_eq!(socket.rest(id).await.len(), 1);
    }
    server.upstream.release();
    let rest = events(socket.rest("slow").await);
    assert_eq!(rest[0]["message"]["text"], WHOLE);
}

#[tokio::test]
async fn an_id_is_free_again_after_its_operation() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    for _ in 0..20 {
        socket.subscribe("1", VIEWER, &json!({})).await;
        assert_eq!(socket.rest("1").await.len(), 1);
    }
    // Also when the client ended it.
    server.upstream.then(half_said());
    socket
        .subscribe("1", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket.say(&json!({ "type": "complete", "id": "1" })).await;
    assert!(socket.is_quiet().await, "`complete` is not echoed");
    socket.subscribe("1", VIEWER, &json!({})).await;
    assert_eq!(socket.rest("1").await.len(), 1);
    // Ending what is not there is no error: it may have ended meanwhile.
    socket.say(&json!({ "type": "complete", "id": "1" })).await;
    assert!(socket.is_quiet().await);
}

#[tokio::test]
async fn what_is_not_executed_is_an_error_message() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    for document in [
        "{ nothing }",
        "{",
        "query A { viewer { owner } } query B { viewer { name } }",
    ] {
        socket.subscribe("1", document, &json!({})).await;
        let message = socket.message().await;
        assert_eq!(
            (&message["type"], &message["id"]),
            (&json!("error"), &json!("1"))
        );
        assert!(message["payload"][0]["message"].is_string(), "{message}");
        assert!(
            message["payload"][0]["extensions"]["code"].is_string(),
            "{message}"
        );
    }
    assert!(socket.is_quiet().await, "no `complete` after `error`");
    // What was executed and failed is a result.
    let document = "query($id: ID!) { session(id: $id) { id } }";
    let variables = json!({ "id": "ses_01h455vb4pex5vsknk084sn02q" });
    socket.subscribe("1", document, &variables).await;
    let results = socket.rest("1").await;
    assert_eq!(results[0]["data"], json!({ "session": Value::Null }));
    assert_eq!(results[0]["errors"][0]["extensions"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn too_many_operations_are_refused_and_the_socket_lives_on() {
    let server = Setup::new()
        .set("http.websocket_operations", 2)
        .start()
        .await;
    let mut socket = server.client().socket().await;
    for id in ["a", "b"] {
        server.upstream.then(half_said());
        socket
            .subscribe(id, &chat_subscription(), &input(None, "Count"))
            .await;
        while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    }
    socket.subscribe("c", VIEWER, &json!({})).await;
    let refused = socket.message().await;
    assert_eq!(
        (&refused["type"], &refused["id"]),
        (&json!("error"), &json!("c"))
    );
    assert_eq!(
        refused["payload"][0]["extensions"]["code"],
        "LIMIT_EXCEEDED"
    );
    // One place free, one operation more.
    socket.say(&json!({ "type": "complete", "id": "a" })).await;
    socket.subscribe("c", VIEWER, &json!({})).await;
    assert_eq!(socket.rest("c").await.len(), 1);
    server.upstream.release();
    assert_eq!(events(socket.rest("b").await)[0]["message"]["text"], WHOLE);
}
