//! WebSocket clients that break the rules, and pages that may not connect.

use serde_json::json;

use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat_subscription, half_said, input};
use crate::support::websocket::{PROTOCOL, Socket, upgrade};

const VIEWER: &str = "{ viewer { owner } }";

#[tokio::test]
async fn a_socket_that_does_not_begin_is_closed() {
    let server = Setup::new()
        .set("http.websocket_init_timeout_ms", 50)
        .start()
        .await;
    assert_eq!(Socket::connect(&server.address).await.closed().await, 4408);
    // One that has begun may be quiet for as long as it likes: 5 times the limit, by pings.
    let server = Setup::new()
        .set("http.websocket_init_timeout_ms", 200)
        .start()
        .await;
    let mut socket = server.client().socket().await;
    let late = Socket::connect(&server.address).await;
    assert_eq!(late.closed().await, 4408);
    assert!(socket.is_quiet().await);
}

#[tokio::test]
async fn an_operation_before_the_beginning_is_refused() {
    let server = TestServer::start().await;
    let mut socket = Socket::connect(&server.address).await;
    socket.subscribe("1", VIEWER, &json!({})).await;
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn a_second_beginning_is_refused() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    socket.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(socket.closed().await, 4429);
}

#[tokio::test]
async fn an_id_in_use_is_refused() {
    let server = TestServer::start().await;
    server.upstream.then(half_said());
    let mut socket = server.client().socket().await;
    socket
        .subscribe("1", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket.subscribe("1", VIEWER, &json!({})).await;
    assert_eq!(socket.closed().await, 4409);
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let server = TestServer::start().await;
    let no_messages = [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"type":"start"}"#,
        r#"{"type":1}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{ a }"}}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
        r#"{"type":"complete"}"#,
        // Only servers say these.
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"next","id":"1","payload":{}}"#,
    ];
    for text in no_messages {
        let mut socket = server.client().socket().await;
        socket.send(text).await;
        assert_eq!(socket.closed().await, 4400, "{text}");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let server = Setup::new()
        .set("http.websocket_message_bytes", 1_000)
        .start()
        .await;
    let mut socket = server.client().socket().await;
    let message = json!({ "type": "ping", "payload": { "x": "y".repeat(900) } });
    socket.say(&message).await;
    assert_eq!(socket.message().await["type"], "pong");
    let message = json!({ "type": "ping", "payload": { "x": "y".repeat(1_000) } });
    socket.say(&message).await;
    assert_eq!(socket.closed().await, 1009);
}

#[tokio::test]
async fn pages_of_other_sites_may_not_connect() {
    let server = Setup::new()
        .set(
            "http.cors_origins",
            "https://app.example.com,https://b.example.com",
        )
        .start()
        .await;
    let own = format!("http://{}", server.address);
    for (origin, allowed) in [
        (own.as_str(), true),
        ("https://app.example.com", true),
        ("https://b.example.com", true),
        ("https://evil.example.com", false),
        ("https://app.example.com.evil.com", false),
        ("https://app.example.com:8443", false),
        ("null", false),
    ] {
        let request = upgrade(&server.address, Some(PROTOCOL), &[("origin", origin)]);
        match Socket::open(request).await {
            Ok(mut socket) => {
                assert!(allowed, "{origin}");
                socket.init(None).await;
            }
            Err((status, body)) => {
                assert!(!allowed && status == 403, "{origin}: {status} {body}");
                assert!(body.contains("FORBIDDEN"), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn another_subprotocol_is_refused() {
    let server = TestServer::start().await;
    for protocol in [None, Some("graphql-ws"), Some("soap")] {
        let request = upgrade(&server.address, protocol, &[]);
        let Err((status, body)) = Socket::open(request).await else {
            panic!("{protocol:?} was accepted");
        };
        assert_eq!(status, 400);
        assert!(body.contains(PROTOCOL), "{body}");
    }
    let both = upgrade(
        &server.address,
        Some("graphql-ws, graphql-transport-ws"),
        &[],
    );
    Socket::open(both).await.unwrap().init(None).await;
}
