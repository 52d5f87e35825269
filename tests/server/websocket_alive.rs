//! Who is still there: quiet clients stay, dead ones go, and nobody's place is lost.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat_subscription, half_said, input};
use crate::support::wait::eventually;
use crate::support::websocket::Socket;
use crate::websocket_fair::{FOLLOW, long_run};

/// How many sockets and streams are open.
pub(crate) async fn open(client: &Client) -> (u64, u64) {
    let request = client.request(reqwest::Method::GET, "/health/ready");
    let (_, health) = body(request).await;
    let number = |field: &str| health[field].as_u64().unwrap();
    (number("sockets"), number("streams"))
}

pub(crate) async fn wait_open(client: &Client, sockets: u64, streams: u64) {
    eventually("sockets and streams to open or close", async || {
        (open(client).await == (sockets, streams)).then_some(())
    })
    .await;
}

/// A socket with an operation that is waiting for the model.
async fn with_operation(server: &TestServer) -> Socket {
    server.upstream.then(half_said());
    let mut socket = server.client().socket().await;
    socket
        .subscribe("1", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket
}

#[tokio::test]
async fn a_client_that_goes_leaves_nothing_open() {
    let server = TestServer::start().await;
    let client = server.client();
    let gone = with_operation(&server).await;
    let mut closing = with_operation(&server).await;
    wait_open(&client, 2, 2).await;

    // Without a word.
    let begun = Instant::now();
    drop(gone);
    wait_open(&client, 1, 1).await;
    println!("gone: its place was free within {:?}", begun.elapsed());

    // As it should be; the server closes as well.
    let begun = Instant::now();
    closing.close().await;
    wait_open(&client, 0, 0).await;
    println!("closed: its place was free within {:?}", begun.elapsed());
    assert!(closing.is_over().await);
}

#[tokio::test]
async fn an_operation_that_ends_is_not_open() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut socket = with_operation(&server).await;
    wait_open(&client, 1, 1).await;
    socket.say(&json!({ "type": "complete", "id": "1" })).await;
    wait_open(&client, 1, 0).await;
    let document = "{ viewer { owner } }";
    socket.subscribe("2", document, &json!({})).await;
    assert_eq!(socket.rest("2").await.len(), 1);
    wait_open(&client, 1, 0).await;
}

/// A setup in which a socket counts as dead after a fifth of a second.
fn impatient() -> Setup {
    Setup::new()
        .set("http.keep_alive_ms", 50)
        .set("http.websocket_stall_timeout_ms", 150)
}

#[tokio::test]
async fn a_quiet_client_that_answers_pings_stays() {
    let server = impatient().start().await;
    let mut socket = server.client().socket().await;
    // Three times as long as a dead one is kept, by the server's own clock.
    for _ in 0..12 {
        socket.pinged().await;
    }
    assert!(socket.is_quiet().await);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_goes() {
    let server = impatient().start().await;
    let client = server.client();
    let bytes = client.socket().await.bytes().await;
    let reason = b"Pings unanswered or events unread for too long";
    let length = u8::try_from(reason.len() + 2).unwrap();
    let close = [&[0x88, length][..], &1008_u16.to_be_bytes(), reason].concat();
    assert!(bytes.starts_with(b"\x89\0\x89\0"), "pings: {bytes:?}");
    assert!(bytes.ends_with(&close), "then the end: {bytes:?}");
    wait_open(&client, 0, 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_its_events_unread_goes() {
    let server = impatient().start().await;
    let client = server.client();
    let run = long_run(&server, &client).await;
    let mut socket = client.socket().await;
    for id in 0..5 {
        let id = id.to_string();
        socket.subscribe(&id, FOLLOW, &json!({ "run": run })).await;
    }
    wait_open(&client, 0, 0).await;
    // What was written before is there to be read: they had begun.
    while socket.hear().await.expect("an event")["type"] != "next" {}
    assert!(socket.is_over().await);
}

#[tokio::test]
async fn an_answer_on_the_way_is_kept_alive() {
    let server = impatient().start().await;
    let mut socket = with_operation(&server).await;
    for _ in 0..12 {
        socket.pinged().await;
    }
    server.upstream.release();
    let rest: Vec<Value> = socket.rest("1").await;
    let last = &rest.last().unwrap()["data"]["chat"];
    assert_eq!(last["__typename"], "RunCompleted");
}
