//! Which sockets are opened at all, and stay open.

use crate::support::server::{Setup, TestServer};
use crate::support::websocket::{PROTOCOL, Socket, upgrade};

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
    for protocol in [None, Some("soap"), Some("graphql"), Some("GRAPHQL-WS")] {
        let socket = Socket::speaking(&server.address, protocol).await;
        let expected = (4406, "Subprotocol not acceptable".to_owned());
        assert_eq!(socket.closed_with().await, expected, "{protocol:?}");
    }
    // Of both, the better one, whichever the client names first.
    for both in [
        "graphql-ws, graphql-transport-ws",
        "graphql-transport-ws, graphql-ws",
    ] {
        let mut socket = Socket::open(upgrade(&server.address, Some(both), &[]))
            .await
            .unwrap();
        socket.init(None).await;
        assert!(socket.is_quiet().await, "pings are of the newer one");
    }
}
