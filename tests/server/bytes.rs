//! The cost of bytes on a connection before anything was asked: memory and time that strangers
//! cannot take.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{body, send};
use crate::support::process::{Process, program};
use crate::support::server::{Setup, TestServer};
use crate::support::wait::{eventually, soon};
use crate::support::websocket::{LEGACY, Socket, client_frame, upgrade};
use crate::websocket_alive::wait_open;

const MB: u64 = 1_000_000;
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const PING: u8 = 0x89;
const INIT: &str = r#"{"type":"connection_init"}"#;

async fn process(folder: &TempDir, settings: &[(&str, &str)]) -> Process {
    Process::serve(program(folder.path(), &[], settings)).await
}

/// The most memory that it has taken more than `before`, in MB.
fn grown(server: &Process, before: u64) -> u64 {
    server.peak_memory().saturating_sub(before) / MB
}

fn ping(bytes: usize) -> String {
    json!({ "type": "ping", "payload": { "a": "x".repeat(bytes) } }).to_string()
}

/// The attack as it was sent: pings of 1 MB whose answers are not read.
#[tokio::test]
async fn large_pings_before_init_take_no_memory() {
    let folder = TempDir::new().unwrap();
    let server = process(&folder, &[]).await;
    let client = server.client();
    client.data("{ viewer { owner } }", &json!({})).await;
    let before = server.memory();
    let pings = client_frame(TEXT, ping(1_000_000).as_bytes()).repeat(8);
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::connect(&server.address).await;
        socket.send_bytes(&pings).await;
        sockets.push(socket);
    }
    wait_open(&client, 0, 0).await;
    // A ninth of what they sent; it was 60 MB for each.
    let grown = grown(&server, before);
    println!("the most memory that it took more: {grown} MB");
    assert!(grown < 20, "{grown} MB");
}

/// The frames received before `connection_ack`, and the code with which the socket is closed.
#[tokio::test]
async fn little_is_heard_before_init() {
    let server = TestServer::start().await;
    let large = |bytes: usize| format!("{INIT}{}", " ".repeat(bytes - INIT.len()));
    let cases: [(&str, Vec<u8>, u16); 7] = [
        (
            "an init of 16 KB and one byte",
            client_frame(TEXT, large(16_385).as_bytes()),
            1009,
        ),
        (
            "1 MB",
            client_frame(TEXT, large(1_000_000).as_bytes()),
            1009,
        ),
        (
            // The rest of it never comes.
            "the beginning of 1 MB",
            client_frame(TEXT, large(1_000_000).as_bytes())[..100_000].to_vec(),
            1009,
        ),
        (
            "pieces with pings between them",
            [client_frame(TEXT_BEGINS, &[b' '; 8_000]), {
                let more = [client_frame(0x00, &[b' '; 8_000]), client_frame(PING, b"?")];
                more.concat().repeat(4)
            }]
            .concat(),
            1009,
        ),
        (
            "a ping with a payload",
            client_frame(TEXT, ping(200).as_bytes()),
            4400,
        ),
        (
            "an operation",
            client_frame(
                TEXT,
                br#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#,
            ),
            4401,
        ),
        (
            "the end of an operation",
            client_frame(TEXT, br#"{"type":"complete","id":"1"}"#),
            4401,
        ),
    ];
    for (case, bytes, code) in cases {
        let mut socket = Socket::connect(&server.address).await;
        socket.send_bytes(&bytes).await;
        let (closed, reason) = socket.closed_with().await;
        assert_eq!(closed, code, "{case}: {reason}");
    }
    // Whatever is wrong ends a socket of the older protocol, too.
    for text in ["{", r#"{"id":"1","type":"stop"}"#] {
        let request = upgrade(&server.address, Some(LEGACY), &[]);
        let mut socket = Socket::open(request).await.unwrap();
        socket.send(text).await;
        while let Ok(message) = socket.next().await {
            assert_eq!(message["type"], "connection_error", "{text}");
        }
    }
    // At the limit, and with all that may come before it.
    let mut socket = Socket::connect(&server.address).await;
    for text in [r#"{"type":"ping"}"#, &ping(100), r#"{"type":"pong"}"#] {
        socket.send(text).await;
    }
    socket.send(large(16_384)).await;
    for kind in ["pong", "pong", "connection_ack"] {
        let message = socket.message().await;
        // Only the last ping is answered when they come together.
        if message["type"] == "connection_ack" {
            break;
        }
        assert_eq!(message["type"], kind);
    }
    socket.send(large(900_000)).await;
    assert_eq!(socket.closed().await, 4429, "and a large one after it");
    wait_open(&server.client(), 0, 0).await;
}

/// Control frames and pings whose answers are not read: the last one is answered.
#[tokio::test]
async fn answers_to_pings_are_not_queued() {
    let folder = TempDir::new().unwrap();
    let server = process(&folder, &[]).await;
    let client = server.client();
    let mut sockets = Vec::new();
    for n in 0..10 {
        let mut socket = Socket::connect(&server.address).await;
        if n % 2 == 0 {
            socket.init(None).await;
        }
        sockets.push(socket);
    }
    let before = server.memory();
    // 13 MB of ping frames for each, and 8 MB of messages.
    let frames = client_frame(PING, &[b'?'; 125]).repeat(100_000);
    let messages = client_frame(TEXT, ping(900).as_bytes()).repeat(8_000);
    let sent = sockets.iter_mut().enumerate().map(async |(n, socket)| {
        socket.send_bytes(&frames).await;
        if n % 2 == 0 {
            socket.send_bytes(&messages).await;
        }
    });
    // Those who wait for their answers to be read may stay at that.
    let all = futures_util::future::join_all(sent);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), all).await;
    client.data("{ viewer { owner } }", &json!({})).await;
    let grown = grown(&server, before);
    println!("the most memory that it took more: {grown} MB");
    assert!(grown < 20, "{grown} MB");
}

/// A client that reads nothing of what it asks for.
#[tokio::test]
async fn what_waits_for_one_socket_is_bounded_in_bytes() {
    let folder = TempDir::new().unwrap();
    let server = process(&folder, &[("http.websocket_queue_bytes", "100000")]).await;
    let client = server.client();
    let mut socket = client.socket().await;
    let document = "{ __schema { types { name fields { name description } } } }";
    socket.subscribe("first", document, &json!({})).await;
    let first = socket.message().await;
    assert!(
        first.to_string().len() > 20_000,
        "{}",
        first.to_string().len()
    );
    socket.message().await;
    let before = server.memory();
    for id in 0..600 {
        socket
            .subscribe(&id.to_string(), document, &json!({}))
            .await;
        if id % 50 == 49 {
            client.data("{ viewer { owner } }", &json!({})).await;
        }
    }
    let grown = grown(&server, before);
    println!("the most memory that it took more: {grown} MB");
    assert!(grown < 60, "{grown} MB");
}

/// A message longer than the queue and than a frame arrives whole.
#[tokio::test]
async fn a_long_answer_comes_in_frames() {
    let server = Setup::new()
        .set("http.websocket_queue_bytes", 1_000)
        .start()
        .await;
    let client = server.client();
    let document = "{ __schema { types { name description fields { name description } } } }";
    let expected = client.data(document, &json!({})).await;
    let mut socket = client.socket().await;
    for id in ["1", "2"] {
        socket.subscribe(id, document, &json!({})).await;
        let rest: Vec<Value> = socket.rest(id).await;
        assert_eq!(rest[0]["data"], expected);
    }
}

#[tokio::test]
async fn the_id_of_an_operation_is_short() {
    let server = TestServer::start().await;
    let mut socket = server.client().socket().await;
    let document = "{ viewer { owner } }";
    let id = "x".repeat(256);
    socket.subscribe(&id, document, &json!({})).await;
    assert_eq!(socket.rest(&id).await.len(), 1);
    socket
        .subscribe(&"x".repeat(257), document, &json!({}))
        .await;
    let (code, reason) = socket.closed_with().await;
    assert_eq!(code, 4400, "{reason}");
    assert!(reason.contains("256"), "{reason}");
}

/// The attack as it was sent: connections that send the first byte of what may be HTTP/2.
#[tokio::test]
async fn a_first_byte_costs_no_time() {
    let folder = TempDir::new().unwrap();
    let settings = [("http.head_timeout_ms", "4000")];
    let server = process(&folder, &settings).await;
    let mut connections = Vec::new();
    let before = server.cpu_ms();
    for _ in 0..800 {
        let mut connection = TcpStream::connect(&server.address).await.unwrap();
        connection.write_all(b"P").await.unwrap();
        connections.push(connection);
    }
    for connection in &mut connections {
        let mut rest = [0];
        // It may be reset, because of what was not read.
        let _ = soon("the connection's end", connection.read(&mut rest)).await;
    }
    let used = server.cpu_ms() - before;
    println!("processor time for 800 connections that wait 4 s: {used} ms");
    // A look at each every 5 ms took nine tenths of a core, without optimization more.
    assert!(used < 2_000, "{used} ms");
}

/// The beginning of a request may come in any pieces.
#[tokio::test]
async fn a_version_is_told_in_pieces() {
    let server = TestServer::start().await;
    let request = b"PRX /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    for byte in request {
        connection.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    soon("an answer", read).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    // HTTP/2 likewise: the server's own preface is a SETTINGS frame.
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".iter().chain(&settings) {
        connection.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut frame = [0; 9];
    soon("a frame", connection.read_exact(&mut frame))
        .await
        .unwrap();
    assert_eq!(frame[3], 4, "{frame:?}");
}

/// The attack as it was sent: heads of 400 KB that do not end.
#[tokio::test]
async fn heads_that_do_not_end_take_no_memory() {
    let folder = TempDir::new().unwrap();
    let server = process(&folder, &[]).await;
    server
        .client()
        .data("{ viewer { owner } }", &json!({}))
        .await;
    let before = server.memory();
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: localhost\r\nx: {}",
        "x".repeat(400_000)
    );
    let mut connections = Vec::new();
    for _ in 0..400 {
        let mut connection = TcpStream::connect(&server.address).await.unwrap();
        // Refused while it is still written.
        let _ = connection.write_all(head.as_bytes()).await;
        connections.push(connection);
    }
    eventually("an answer of the server", async || {
        let (status, _) = body(server.client().post("{ viewer { owner } }", &json!({}))).await;
        (status == 200).then_some(())
    })
    .await;
    // 160 MB of heads.
    let grown = grown(&server, before);
    println!("the most memory that it took more: {grown} MB");
    assert!(grown < 40, "{grown} MB");
}

#[tokio::test]
async fn a_head_has_so_many_bytes() {
    let server = TestServer::start().await;
    let answer = async |head: String| {
        let mut connection = TcpStream::connect(&server.address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon("an answer", connection.read_to_end(&mut answer)).await;
        String::from_utf8(answer).unwrap()
    };
    let padded = |bytes: usize, end: &str| {
        let head = "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: ";
        format!("{head}{}{end}", "x".repeat(bytes - head.len() - end.len()))
    };
    let within = answer(padded(16_000, "\r\n\r\n")).await;
    assert!(within.starts_with("HTTP/1.1 200"), "{within}");
    for end in ["\r\n\r\n", ""] {
        let over = answer(padded(17_000, end)).await;
        assert!(over.starts_with("HTTP/1.1 431"), "{over}");
    }
    let many = format!("{}\r\n", "a: b\r\n".repeat(200));
    let over = answer(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}")).await;
    assert!(over.starts_with("HTTP/1.1 431"), "{over}");

    // A long document in a URL.
    let document = format!("{{ viewer {{ owner }} }} # {}", "x".repeat(12_000));
    let (status, answer) = body(server.client().get(&[("query", &document)])).await;
    assert_eq!(
        (status, &answer["data"]["viewer"]["owner"]),
        (200, &json!("dev"))
    );

    // HTTP/2.
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.build().unwrap();
    let url = format!("http://{}/health/live", server.address);
    for (bytes, status) in [(15_000, 200), (17_000, 431)] {
        let request = client.get(&url).header("x", "x".repeat(bytes));
        assert_eq!(send(request).await.status(), status, "{bytes}");
    }
}
