//! The rules of `graphql-transport-ws`, one by one.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat_subscription, half_said, input};
use crate::support::websocket::Socket;
use crate::websocket_fair::{FOLLOW, long_run};

const INIT: &str = r#"{"type":"connection_init"}"#;
const ASK: &str = r#"{"type":"subscribe","id":"1","payload":{"query":"{ viewer { owner } }"}}"#;

/// What a client says, and what it then hears: these messages, and this close code.
type Rule = (
    &'static str,
    &'static [&'static str],
    Vec<Value>,
    Option<u16>,
);

async fn check(address: &str, rules: Vec<Rule>) {
    for (rule, said, heard, code) in rules {
        let mut socket = Socket::connect(address).await;
        for text in said {
            socket.send(*text).await;
        }
        for expected in heard {
            assert_eq!(socket.message().await, expected, "{rule}");
        }
        match code {
            Some(code) => assert_eq!(socket.closed().await, code, "{rule}"),
            None => assert!(socket.is_quiet().await, "{rule}"),
        }
    }
}

fn ack() -> Value {
    json!({ "type": "connection_ack" })
}

fn next(id: &str) -> Value {
    let response = json!({ "data": { "viewer": { "owner": "dev" } } });
    json!({ "type": "next", "id": id, "payload": response })
}

fn complete(id: &str) -> Value {
    json!({ "type": "complete", "id": id })
}

#[tokio::test]
async fn a_connection_begins_once() {
    let server = TestServer::start().await;
    let rules: Vec<Rule> = vec![
        ("init is acknowledged", &[INIT], vec![ack()], None),
        (
            "its payload may be null",
            &[r#"{"type":"connection_init","payload":null}"#],
            vec![ack()],
            None,
        ),
        (
            "its payload may be an object",
            &[r#"{"type":"connection_init","payload":{"a":[1]}}"#],
            vec![ack()],
            None,
        ),
        (
            "its payload may be nothing else",
            &[r#"{"type":"connection_init","payload":"key"}"#],
            vec![],
            Some(4400),
        ),
        (
            "nor a list",
            &[r#"{"type":"connection_init","payload":[]}"#],
            vec![],
            Some(4400),
        ),
        ("not twice", &[INIT, INIT], vec![ack()], Some(4429)),
        ("subscribe not before it", &[ASK], vec![], Some(4401)),
        (
            "ping also before it",
            &[r#"{"type":"ping"}"#],
            vec![json!({ "type": "pong" })],
            None,
        ),
        ("pong also before it", &[r#"{"type":"pong"}"#], vec![], None),
        (
            "complete not: there is nothing that it could name",
            &[r#"{"type":"complete","id":"1"}"#],
            vec![],
            Some(4401),
        ),
        (
            "subscribe need not wait for the acknowledgement",
            &[INIT, ASK],
            vec![ack(), next("1"), complete("1")],
            None,
        ),
    ];
    check(&server.address, rules).await;
}

#[tokio::test]
async fn a_connection_that_does_not_begin_is_closed() {
    let server = Setup::new()
        .set("http.websocket_init_timeout_ms", 50)
        .start()
        .await;
    let socket = Socket::connect(&server.address).await;
    let expected = (4408, "Connection initialisation timeout".to_owned());
    assert_eq!(socket.closed_with().await, expected);
}

#[tokio::test]
async fn a_connection_without_a_known_key_is_forbidden() {
    let server = Setup::new().key("secret", "acme", "ann").start().await;
    let rules: Vec<Rule> = vec![
        ("no key", &[INIT], vec![], Some(4403)),
        (
            "a wrong key",
            &[r#"{"type":"connection_init","payload":{"authorization":"Bearer wrong"}}"#],
            vec![],
            Some(4403),
        ),
        (
            "a key that is no text",
            &[r#"{"type":"connection_init","payload":{"authorization":1}}"#],
            vec![],
            Some(4403),
        ),
        (
            "the key",
            &[r#"{"type":"connection_init","payload":{"AUTHORIZATION":"Bearer secret"}}"#],
            vec![ack()],
            None,
        ),
    ];
    check(&server.address, rules).await;
}

#[tokio::test]
async fn what_is_no_message_closes_the_socket() {
    let server = TestServer::start().await;
    let no_messages = [
        "",
        "ping",
        "{",
        "null",
        "[]",
        r#"["ping",null,null]"#,
        "{}",
        r#"{"type":1}"#,
        r#"{"type":null}"#,
        r#"{"type":""}"#,
        r#"{"type":"PING"}"#,
        r#"{"type":"ping","type":"ping"}"#,
        // Of the older protocol.
        r#"{"type":"start","id":"1","payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"stop","id":"1"}"#,
        r#"{"type":"connection_terminate"}"#,
        // Only servers say these.
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"next","id":"1","payload":{}}"#,
        r#"{"type":"error","id":"1","payload":[{"message":"a"}]}"#,
        // Pings with a payload that is no object.
        r#"{"type":"ping","payload":1}"#,
        r#"{"type":"ping","payload":[]}"#,
        r#"{"type":"pong","payload":"a"}"#,
        // Ids.
        r#"{"type":"subscribe","payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"subscribe","id":null,"payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{ viewer { owner } }"}}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"complete","id":""}"#,
        r#"{"type":"complete","id":1}"#,
        // Operations.
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"1","payload":null}"#,
        r#"{"type":"subscribe","id":"1","payload":"{ viewer { owner } }"}"#,
        r#"{"type":"subscribe","id":"1","payload":["{ viewer { owner } }"]}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":null}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[]}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":1}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":"a"}}"#,
    ];
    for text in no_messages {
        let mut socket = server.client().socket().await;
        socket.send(text).await;
        let (code, reason) = socket.closed_with().await;
        assert_eq!(code, 4400, "{text}");
        assert!(!reason.is_empty(), "{text}");
    }
    let mut socket = server.client().socket().await;
    socket.send_frame(Message::binary(INIT)).await;
    assert_eq!(socket.closed().await, 4400, "binary");
}

#[tokio::test]
async fn an_operation_is_answered_to_its_end() {
    let server = TestServer::start().await;
    let rules: Vec<Rule> = vec![
        (
            "one result, then complete",
            &[INIT, ASK],
            vec![ack(), next("1"), complete("1")],
            None,
        ),
        (
            "null stands for nothing",
            &[
                INIT,
                r#"{"type":"subscribe","id":"1","payload":{"query":"{ viewer { owner } }","variables":null,"operationName":null,"extensions":null}}"#,
            ],
            vec![ack(), next("1"), complete("1")],
            None,
        ),
        (
            "any order, any spacing, escapes, and what nobody knows",
            &[
                INIT,
                " {\n\"payload\" : {\"query\":\"{ viewer { owner } }\"}, \"more\": {}, \"id\":\"\\u0031\", \"type\":\"subscr\\u0069be\"} ",
            ],
            vec![ack(), next("1"), complete("1")],
            None,
        ),
        (
            "an id may be any text",
            &[
                INIT,
                r#"{"type":"subscribe","id":" \"é\" ","payload":{"query":"{ viewer { owner } }"}}"#,
            ],
            vec![ack(), next(" \"é\" "), complete(" \"é\" ")],
            None,
        ),
        (
            "complete of what is over is passed over",
            &[INIT, ASK, r#"{"type":"complete","id":"nobody"}"#],
            vec![ack(), next("1"), complete("1")],
            None,
        ),
    ];
    check(&server.address, rules).await;
}

#[tokio::test]
async fn an_id_in_use_closes_the_socket() {
    let server = TestServer::start().await;
    server.upstream.then(half_said());
    let mut socket = server.client().socket().await;
    socket
        .subscribe("é", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket
        .subscribe("é", "{ viewer { owner } }", &json!({}))
        .await;
    let expected = (4409, "Subscriber for é already exists".to_owned());
    assert_eq!(socket.closed_with().await, expected);
}

/// The result of what a client has stopped is not sent, however late it comes.
#[tokio::test]
async fn nothing_follows_the_clients_complete() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    server.upstream.then(half_said());
    let document = "mutation($input: ChatInput!) { chat(input: $input) { message { text } } }";
    socket.subscribe("1", document, &input(None, "Count")).await;
    server.upstream.wait_holding(1).await;
    socket.say(&complete("1")).await;
    assert!(socket.is_quiet().await);
    // The id may be used at once; what is heard is the new operation's.
    server.upstream.release();
    socket.send(ASK).await;
    assert_eq!(socket.message().await, next("1"));
    assert_eq!(socket.message().await, complete("1"));
    assert!(socket.is_quiet().await);
}

/// What a busy operation still had to say when its client stopped it cannot be taken for what
/// the next one of that id says.
#[tokio::test]
async fn an_id_stands_for_one_operation_at_a_time() {
    let server = TestServer::start().await;
    let client = server.client();
    let run = long_run(&server, &client).await;
    let mut socket = client.socket().await;
    for _ in 0..10 {
        socket.subscribe("1", FOLLOW, &json!({ "run": run })).await;
        assert_eq!(socket.message().await["type"], "next");
        socket.say(&complete("1")).await;
        // Whatever was on its way comes before the answer to this.
        socket.say(&json!({ "type": "ping" })).await;
        while socket.message().await["type"] != "pong" {}
        socket.send(ASK).await;
        assert_eq!(socket.message().await, next("1"));
        assert_eq!(socket.message().await, complete("1"));
    }
}
