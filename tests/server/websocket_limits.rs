//! How many sockets there may be, for one caller and in all.

use serde_json::{Value, json};

use crate::support::server::{Setup, TestServer};
use crate::support::wait::eventually;
use crate::support::websocket::{LEGACY, PROTOCOL, Socket, upgrade};
use crate::websocket_alive::wait_open;

const REASON: &str = "Too many sockets: 2 for each caller (http.websocket_connections)";

/// A server where each caller may have two sockets.
async fn two_each() -> TestServer {
    Setup::new()
        .set("http.websocket_connections", 2)
        .operator_key("ann's", "acme", "ann")
        .key("bob's", "acme", "bob")
        .start()
        .await
}

async fn refused(server: &TestServer, key: &str) -> (u16, String) {
    let mut socket = Socket::connect(&server.address).await;
    let payload = json!({ "Authorization": format!("Bearer {key}") });
    let init = json!({ "type": "connection_init", "payload": payload });
    socket.say(&init).await;
    socket.closed_with().await
}

#[tokio::test]
async fn a_caller_has_so_many_sockets() {
    let server = two_each().await;
    let (ann, bob) = (server.client_with("ann's"), server.client_with("bob's"));
    let first = ann.socket().await;
    let mut second = ann.socket().await;
    assert_eq!(refused(&server, "ann's").await, (1013, REASON.to_owned()));
    // Neither another caller nor her other sockets notice.
    bob.socket().await;
    assert!(second.is_quiet().await);

    // One that has not begun counts for nobody.
    let waiting = Socket::connect(&server.address).await;
    drop(first);
    wait_open(&ann, 2, 0).await;
    let third = ann.socket().await;
    assert_eq!(refused(&server, "ann's").await, (1013, REASON.to_owned()));
    drop((second, third, waiting));
    wait_open(&ann, 0, 0).await;
    for _ in 0..20 {
        let mut both = [ann.socket().await, ann.socket().await];
        for socket in &mut both {
            socket.close().await;
            assert!(socket.is_over().await);
        }
        wait_open(&ann, 0, 0).await;
    }
}

#[tokio::test]
async fn an_old_client_is_told_in_its_own_words() {
    let server = two_each().await;
    let ann = server.client_with("ann's");
    let _sockets = [ann.socket().await, ann.socket().await];
    let request = upgrade(&server.address, Some(LEGACY), &[]);
    let mut socket = Socket::open(request).await.unwrap();
    let payload = json!({ "Authorization": "Bearer ann's" });
    let init = json!({ "type": "connection_init", "payload": payload });
    socket.say(&init).await;
    let error = json!({ "type": "connection_error", "payload": { "message": REASON } });
    assert_eq!(socket.message().await, error);
    assert_eq!(socket.closed_with().await, (1013, REASON.to_owned()));
}

#[tokio::test]
async fn a_server_has_so_many_sockets() {
    let server = Setup::new()
        .set("http.websocket_connections_total", 3)
        .start()
        .await;
    let client = server.client();
    // Whether they have begun or not, and whatever they speak.
    let first = client.socket().await;
    let second = Socket::connect(&server.address).await;
    let old = upgrade(&server.address, Some(LEGACY), &[]);
    let third = Socket::open(old).await.unwrap();
    let request = || upgrade(&server.address, Some(PROTOCOL), &[]);
    let Err((status, body)) = Socket::open(request()).await else {
        panic!("a fourth socket");
    };
    assert_eq!(status, 503);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("http.websocket_connections_total"),
        "{message}"
    );

    // Everything else goes on, and a place that is free is given again.
    client.data("{ viewer { owner } }", &json!({})).await;
    drop(second);
    let mut again = eventually("a free place", async || Socket::open(request()).await.ok()).await;
    again.init(None).await;
    drop((first, third, again));
    wait_open(&client, 0, 0).await;
}

#[tokio::test]
async fn sockets_that_are_refused_take_no_place() {
    let setup = Setup::new().operator_key("ann's", "acme", "ann");
    let server = setup.start().await;
    for _ in 0..10 {
        assert_eq!(refused(&server, "wrong").await.0, 4403);
        let socket = Socket::speaking(&server.address, Some("soap")).await;
        assert_eq!(socket.closed().await, 4406);
    }
    wait_open(&server.client_with("ann's"), 0, 0).await;
}
