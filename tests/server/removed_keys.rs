//! Keys that are removed while something of theirs is open.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use talkgraph::auth::Key;
use talkgraph_domain::{Principal, Scope};

use crate::support::client::{Client, body};
use crate::support::server::{Setup, TestServer};
use crate::support::sse::Frame;
use crate::support::talk::{chat_subscription, events, half_said, input, run_events_subscription};
use crate::support::websocket::{LEGACY, PROTOCOL, Socket, upgrade};
use crate::websocket_alive::wait_open;

const REASON: &str =
    "the key of this connection was removed from the server; connect with another key";

fn key(owner: &str) -> Key {
    let digest = Sha256::digest(format!("{owner}'s").as_bytes());
    // He counts what is open.
    let scopes: &[Scope] = match owner {
        "bob" => &[Scope::Operator],
        _ => &[],
    };
    Key {
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        principal: Principal::new("acme", owner, owner).with_scopes(scopes),
    }
}

/// A server with the keys of Ann and Bob, each with a chat that waits for its model.
async fn two() -> (TestServer, Client, Client) {
    let server = Setup::new()
        .key("ann's", "acme", "ann")
        .operator_key("bob's", "acme", "bob")
        .start()
        .await;
    let (ann, bob) = (server.client_with("ann's"), server.client_with("bob's"));
    (server, ann, bob)
}

/// A run that is half said, and what to follow it with.
async fn half_run(server: &TestServer, client: &Client) -> Value {
    server.upstream.then(half_said());
    let mut stream = client
        .events(&chat_subscription(), &input(None, "Hello"))
        .await;
    let first = stream.next().await.unwrap();
    let run = &first["data"]["chat"]["run"]["id"];
    json!({ "run": run, "after": 0 })
}

fn check_error(errors: &Value) {
    assert_eq!(errors[0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(errors[0]["message"], REASON);
}

#[tokio::test]
async fn event_streams_of_a_removed_key_end_with_an_error() {
    let (server, ann, bob) = two().await;
    let (anns, bobs) = (half_run(&server, &ann).await, half_run(&server, &bob).await);
    let follow = run_events_subscription();
    let mut annoyed = ann.events(&follow, &anns).await;
    let mut parts = ann.parts(&follow, &anns).await;
    let mut spared = bob.events(&follow, &bobs).await;
    spared.next().await.unwrap();
    server.authenticator.replace([key("bob")]);

    let last = loop {
        match annoyed.frame().await.unwrap() {
            Frame::Next(response) if response["data"].is_null() => break response,
            Frame::Next(_) | Frame::Comment => {}
            Frame::Complete => panic!("no error before the end"),
        }
    };
    check_error(&last["errors"]);
    assert_eq!(annoyed.frame().await, Some(Frame::Complete));
    assert_eq!(annoyed.frame().await, None);
    let last = loop {
        let part = parts.next().await.expect("an error before the end");
        if part["data"].is_null() {
            break part;
        }
    };
    check_error(&last["errors"]);
    assert_eq!(parts.next().await, None);

    // The run goes on, and so does everything of other keys.
    server.upstream.release();
    let said = events(spared.rest().await);
    assert_eq!(said.last().unwrap()["__typename"], "RunCompleted");
    let (status, answer) = body(ann.post("{ viewer { owner } }", &json!({}))).await;
    assert_eq!(status, 401);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    wait_open(&bob, 0, 0).await;
}

#[tokio::test]
async fn sockets_of_a_removed_key_are_closed() {
    let (server, ann, bob) = two().await;
    let run = half_run(&server, &ann).await;
    let mut idle = ann.socket().await;
    let mut busy = ann.socket().await;
    busy.subscribe("1", &run_events_subscription(), &run).await;
    busy.message().await;
    let mut old = Socket::open(upgrade(&server.address, Some(LEGACY), &[]))
        .await
        .unwrap();
    let payload = json!({ "Authorization": "Bearer ann's" });
    old.say(&json!({ "type": "connection_init", "payload": payload }))
        .await;
    assert_eq!(old.message().await, json!({ "type": "connection_ack" }));
    assert_eq!(old.message().await, json!({ "type": "ka" }));
    // It came with its key, and has not begun.
    let headers = [("authorization", "Bearer ann's")];
    let late = upgrade(&server.address, Some(PROTOCOL), &headers);
    let mut late = Socket::open(late).await.unwrap();
    let mut spared = bob.socket().await;
    server.authenticator.replace([key("bob")]);

    let closed = Err((4401, REASON.to_owned()));
    let end = async |socket: &mut Socket| loop {
        match socket.frame().await {
            Ok(message) if message["type"] == "next" => {}
            Ok(message) => break Ok(message),
            Err(frame) => break Err((u16::from(frame.code), frame.reason.to_string())),
        }
    };
    assert_eq!(end(&mut idle).await, closed);
    assert_eq!(end(&mut busy).await, closed);
    let error = json!({ "type": "connection_error", "payload": { "message": REASON } });
    assert_eq!(end(&mut old).await, Ok(error));
    assert_eq!(end(&mut old).await, closed);
    late.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(late.closed_with().await, (4403, REASON.to_owned()));
    assert!(spared.is_quiet().await);
    wait_open(&bob, 1, 0).await;
}

#[tokio::test]
async fn a_key_that_stands_for_another_owner_ends_what_was_open() {
    let (server, ann, bob) = two().await;
    let socket = ann.socket().await;
    let mut spared = bob.socket().await;
    let mut other = key("ann");
    other.principal = Principal::new("acme", "anna", "ann");
    server.authenticator.replace([other, key("bob")]);
    assert_eq!(socket.closed().await, 4401);
    assert!(spared.is_quiet().await);
    let data = ann.data("{ viewer { owner } }", &json!({})).await;
    assert_eq!(data["viewer"]["owner"], "anna");
}

/// The client reads nothing, so its queue is full: what is queued is dropped with the key.
#[tokio::test]
async fn a_socket_that_is_left_unread_ends_with_its_key() {
    let (server, ann, bob) = two().await;
    let run = crate::websocket_fair::long_run(&server, &ann).await;
    let mut unread = ann.socket().await;
    for id in 0..5 {
        let id = id.to_string();
        unread
            .subscribe(&id, crate::websocket_fair::FOLLOW, &json!({ "run": run }))
            .await;
    }
    wait_open(&bob, 1, 5).await;
    server.authenticator.replace([key("bob")]);
    wait_open(&bob, 1, 0).await;
    assert!(unread.is_over().await);
    wait_open(&bob, 0, 0).await;
}
