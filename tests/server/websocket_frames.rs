//! Frames that are none, by RFC 6455. The server says what is wrong before it closes.

use crate::support::server::{Setup, TestServer};
use crate::support::websocket::client_frame as frame;
use crate::websocket_alive::wait_open;

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const TEXT_ENDS: u8 = 0x80;

#[tokio::test]
async fn a_malformed_frame_is_named() {
    let server = TestServer::start().await;
    let unmasked = [TEXT, 2, b'{', b'}'];
    let cases: [(&str, Vec<u8>, u16); 11] = [
        ("bytes that are no UTF-8", frame(TEXT, b"\"\xff\""), 1007),
        (
            "a character that never ends",
            frame(TEXT, b"{\"type\":\"\xe2\x82"),
            1007,
        ),
        ("a surrogate", frame(TEXT, b"\"\xed\xa0\x80\""), 1007),
        (
            "no UTF-8 in the second half",
            [frame(TEXT_BEGINS, b"{"), frame(TEXT_ENDS, b"\xff")].concat(),
            1007,
        ),
        ("no mask", unmasked.to_vec(), 1002),
        ("a bit for an extension", frame(0xc1, b"{}"), 1002),
        ("no such kind of frame", frame(0x83, b"{}"), 1002),
        ("the end of nothing", frame(TEXT_ENDS, b"{}"), 1002),
        (
            "a beginning in the middle",
            [frame(TEXT_BEGINS, b"{"), frame(TEXT, b"}")].concat(),
            1002,
        ),
        ("half a ping", frame(0x09, b""), 1002),
        ("a close frame of one byte", frame(0x88, b"\x03"), 1002),
    ];
    for (case, bytes, code) in cases {
        let mut socket = server.client().socket().await;
        socket.send_bytes(&bytes).await;
        let (closed, reason) = socket.closed_with().await;
        assert_eq!(closed, code, "{case}: {reason}");
        assert!(!reason.is_empty(), "{case}");
    }
    wait_open(&server.client(), 0, 0).await;
}

#[tokio::test]
async fn a_message_in_pieces_is_one_message() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    let text = r#"{"type":"ping","payload":{"é":1}}"#.as_bytes();
    // In the middle of a character, with a ping in between.
    let (begin, end) = text.split_at(28);
    assert!(std::str::from_utf8(begin).is_err());
    let pieces = [
        frame(TEXT_BEGINS, begin),
        frame(0x89, b"?"),
        frame(TEXT_ENDS, end),
    ];
    socket.send_bytes(&pieces.concat()).await;
    let pong = serde_json::json!({ "type": "pong", "payload": { "é": 1 } });
    assert_eq!(socket.message().await, pong);
}

#[tokio::test]
async fn a_message_of_any_size_over_the_limit_is_named() {
    let server = Setup::new()
        .set("http.websocket_message_bytes", 1_000)
        .start()
        .await;
    let mut socket = server.client().socket().await;
    socket.send(format!("{:<1000}", r#"{"type":"ping"}"#)).await;
    assert_eq!(socket.message().await["type"], "pong", "at the limit");
    let reason = "Message larger than 1000 bytes".to_owned();
    for size in [1_001, 100_000, 20_000_000] {
        let mut socket = server.client().socket().await;
        socket.send(" ".repeat(size)).await;
        let closed = socket.closed_with().await;
        assert_eq!(closed, (1009, reason.clone()), "{size}");
    }
    // In pieces that are small enough, too.
    let mut socket = server.client().socket().await;
    let mut pieces = frame(TEXT_BEGINS, &[b' '; 100]);
    for _ in 0..10 {
        pieces.extend(frame(0x00, &[b' '; 100]));
    }
    socket.send_bytes(&pieces).await;
    assert_eq!(socket.closed_with().await, (1009, reason));
}
