//! Clients of the older protocol, subscriptions-transport-ws.

use serde_json::{Value, json};

use crate::chat::check_texts;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{WHOLE, chat_subscription, events, half_said, input};
use crate::support::websocket::{LEGACY, Socket, upgrade};
use crate::websocket_alive::wait_open;

const VIEWER: &str = "{ viewer { owner } }";

async fn connect(server: &TestServer) -> Socket {
    let request = upgrade(&server.address, Some(LEGACY), &[]);
    Socket::open(request).await.unwrap()
}

/// A socket that is ready for operations.
async fn begun(server: &TestServer) -> Socket {
    let mut socket = connect(server).await;
    // What the old clients send: all of their parameters, also when there are none.
    let init = json!({ "type": "connection_init", "payload": {} });
    socket.say(&init).await;
    assert_eq!(socket.message().await, json!({ "type": "connection_ack" }));
    assert_eq!(socket.message().await, json!({ "type": "ka" }));
    socket
}

async fn start(socket: &mut Socket, id: &str, document: &str, variables: &Value) {
    let payload = json!({ "query": document, "variables": variables });
    socket
        .say(&json!({ "id": id, "type": "start", "payload": payload }))
        .await;
}

/// The payloads of an operation until it completes.
async fn rest(socket: &mut Socket, id: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut message = socket.message().await;
        assert_eq!(message["id"], id, "{message}");
        match message["type"].as_str() {
            Some("data") => all.push(message["payload"].take()),
            Some("complete") => return all,
            _ => panic!("{message}"),
        }
    }
}

/// Whether nothing is said: an operation's answer is the next thing to be heard.
async fn is_quiet(socket: &mut Socket) -> bool {
    start(socket, "quiet", VIEWER, &json!({})).await;
    rest(socket, "quiet").await.len() == 1
}

#[tokio::test]
async fn an_old_client_is_answered() {
    let server = TestServer::start().await;
    let mut socket = begun(&server).await;
    start(&mut socket, "1", VIEWER, &json!({})).await;
    let viewer = json!({ "data": { "viewer": { "owner": "dev" } } });
    assert_eq!(rest(&mut socket, "1").await, [viewer]);
    let document = "mutation($input: ChatInput!) { chat(input: $input) { message { text } } }";
    start(&mut socket, "2", document, &input(None, "Hello")).await;
    let answer = json!({ "data": { "chat": { "message": { "text": "echo 2: Hello" } } } });
    assert_eq!(rest(&mut socket, "2").await, [answer]);
    let one = input(None, "one two");
    start(&mut socket, "3", &chat_subscription(), &one).await;
    let said = events(rest(&mut socket, "3").await);
    assert_eq!(check_texts(&said), "echo 2: one two");
}

#[tokio::test]
async fn an_old_client_is_kept_alive_in_its_own_words() {
    let server = Setup::new()
        .set("http.keep_alive_ms", 50)
        .set("http.websocket_stall_timeout_ms", 150)
        .start()
        .await;
    let mut socket = begun(&server).await;
    // Longer than a dead one is kept.
    for _ in 0..12 {
        assert_eq!(socket.message().await, json!({ "type": "ka" }));
    }
    // Not before the beginning.
    let mut waiting = connect(&server).await;
    waiting.pinged().await;
    waiting.say(&json!({ "type": "connection_init" })).await;
    let ack = json!({ "type": "connection_ack" });
    assert_eq!(waiting.message().await, ack);
}

#[tokio::test]
async fn what_is_not_executed_is_an_error_of_its_operation() {
    let server = TestServer::start().await;
    let mut socket = begun(&server).await;
    for document in ["{ nothing }", "{", "query A { a } query B { b }"] {
        start(&mut socket, "1", document, &json!({})).await;
        let message = socket.message().await;
        assert_eq!(message["type"], "error");
        assert_eq!(message["id"], "1");
        // One error, not a list.
        assert!(message["payload"]["message"].is_string(), "{message}");
        assert!(message["payload"]["extensions"]["code"].is_string());
        assert!(is_quiet(&mut socket).await, "no `complete` after `error`");
    }
    // What was executed and failed is data.
    let document = "query($id: ID!) { session(id: $id) { id } }";
    let variables = json!({ "id": "ses_01h455vb4pex5vsknk084sn02q" });
    start(&mut socket, "1", document, &variables).await;
    let results = rest(&mut socket, "1").await;
    assert_eq!(results[0]["data"], json!({ "session": Value::Null }));
    assert_eq!(results[0]["errors"][0]["extensions"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn stopping_is_confirmed() {
    let server = TestServer::start().await;
    let mut socket = begun(&server).await;
    server.upstream.then(half_said());
    let count = input(None, "Count");
    start(&mut socket, "1", &chat_subscription(), &count).await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket.say(&json!({ "type": "stop", "id": "1" })).await;
    let complete = json!({ "type": "complete", "id": "1" });
    assert_eq!(socket.message().await, complete);
    server.upstream.release();
    // Stopping what is not there is passed over.
    socket.say(&json!({ "type": "stop", "id": "1" })).await;
    assert!(is_quiet(&mut socket).await);
}

#[tokio::test]
async fn a_new_operation_takes_the_place_of_a_live_one() {
    let server = TestServer::start().await;
    let mut socket = begun(&server).await;
    server.upstream.then(half_said());
    let count = input(None, "Count");
    start(&mut socket, "1", &chat_subscription(), &count).await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    start(&mut socket, "1", VIEWER, &json!({})).await;
    let viewer = json!({ "data": { "viewer": { "owner": "dev" } } });
    assert_eq!(rest(&mut socket, "1").await, [viewer]);
    server.upstream.release();
    assert!(is_quiet(&mut socket).await);
    wait_open(&server.client(), 1, 0).await;
}

#[tokio::test]
async fn an_old_client_without_a_known_key_is_refused() {
    let server = Setup::new().key("secret", "acme", "ann").start().await;
    for payload in [json!({}), json!({ "Authorization": "Bearer wrong" })] {
        let mut socket = connect(&server).await;
        let init = json!({ "type": "connection_init", "payload": payload });
        socket.say(&init).await;
        let refused = socket.message().await;
        assert_eq!(refused["type"], "connection_error");
        let message = refused["payload"]["message"].as_str().unwrap();
        assert!(message.contains("Authorization: Bearer"), "{message}");
        assert_eq!(socket.closed().await, 4403);
    }
    let mut socket = connect(&server).await;
    start(&mut socket, "1", VIEWER, &json!({})).await;
    let refused = socket.message().await;
    assert_eq!(refused["type"], "connection_error");
    assert_eq!(socket.closed().await, 4401, "nothing before the beginning");

    let mut socket = connect(&server).await;
    let payload = json!({ "authorization": "Bearer secret" });
    let init = json!({ "type": "connection_init", "payload": payload });
    socket.say(&init).await;
    assert_eq!(socket.message().await["type"], "connection_ack");
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_socket_goes_on() {
    let server = TestServer::start().await;
    let mut socket = begun(&server).await;
    for text in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"type":"start","payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"start","id":1,"payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"stop"}"#,
        // Of the newer protocol.
        r#"{"type":"ping"}"#,
    ] {
        socket.send(text).await;
        let answer = socket.message().await;
        assert_eq!(answer["type"], "connection_error", "{text}");
        assert!(answer["payload"]["message"].is_string(), "{text}");
    }
    for text in [
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"complete","id":"1"}"#,
        r#"{"type":"start","id":"1"}"#,
        r#"{"type":"start","id":"1","payload":{}}"#,
        r#"{"type":"start","id":"1","payload":{"query":1}}"#,
    ] {
        socket.send(text).await;
        let answer = socket.message().await;
        assert_eq!(answer["type"], "error", "{text}");
        assert_eq!(answer["id"], "1", "{text}");
        assert!(answer["payload"]["message"].is_string(), "{text}");
    }
    assert!(is_quiet(&mut socket).await);
    socket.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(socket.closed().await, 4429);
}

#[tokio::test]
async fn an_operation_over_the_limit_is_an_error_of_its_own() {
    let server = Setup::new()
        .set("http.websocket_operations", 1)
        .start()
        .await;
    let mut socket = begun(&server).await;
    server.upstream.then(half_said());
    let count = input(None, "Count");
    start(&mut socket, "1", &chat_subscription(), &count).await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    start(&mut socket, "2", VIEWER, &json!({})).await;
    let refused = socket.message().await;
    assert_eq!(
        (&refused["type"], &refused["id"]),
        (&json!("error"), &json!("2"))
    );
    assert_eq!(refused["payload"]["extensions"]["code"], "LIMIT_EXCEEDED");
    server.upstream.release();
    let said = events(rest(&mut socket, "1").await);
    assert_eq!(said[0]["message"]["text"], WHOLE);
}

#[tokio::test]
async fn an_old_client_takes_its_leave() {
    let server = TestServer::start().await;
    let mut socket = begun(&server).await;
    socket.say(&json!({ "type": "connection_terminate" })).await;
    assert_eq!(socket.closed().await, 1000);
    wait_open(&server.client(), 0, 0).await;
}
