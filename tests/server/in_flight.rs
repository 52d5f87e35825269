//! The number of bytes of requests in memory, and the requests that are refused past it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, body, send};
use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, string};
use crate::support::upstream::Script;
use crate::support::wait::{eventually, soon};
use crate::support::websocket::{Socket, client_frame};

const BODY: usize = 100_000;
const QUERY: &str = "{ viewer { owner } }";

/// Half of all, 200,000 bytes, is for each tenant; new requests are refused from 150,000 on.
async fn server() -> (TestServer, Client, Client) {
    let server = Setup::new()
        .set("http.in_flight_bytes", 4 * BODY)
        .set("http.body_limit_bytes", BODY)
        .set("http.body_timeout_ms", 60_000)
        .set("http.websocket_message_bytes", BODY)
        .key("ann's", "acme", "ann")
        .key("bob's", "other", "bob")
        .start()
        .await;
    let (ann, bob) = (server.client_with("ann's"), server.client_with("bob's"));
    (server, ann, bob)
}

/// A request of which all but the last bytes is sent.
struct Begun {
    connection: TcpStream,
    rest: Vec<u8>,
}

impl Begun {
    async fn post(server: &TestServer, length: usize) -> Self {
        let mut content = json!({ "query": QUERY }).to_string();
        content += &" ".repeat(length - content.len());
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ann's\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut connection = TcpStream::connect(&server.address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let (most, rest) = content.as_bytes().split_at(length - 100);
        connection.write_all(most).await.unwrap();
        let rest = rest.to_vec();
        Self { connection, rest }
    }

    async fn finish(mut self) -> String {
        self.connection.write_all(&self.rest).await.unwrap();
        let mut answer = String::new();
        let read = self.connection.read_to_string(&mut answer);
        soon("an answer", read).await.unwrap();
        answer
    }
}

/// Waits until a tenant's new requests are refused; the refusal.
async fn refused(client: &Client) -> Value {
    eventually("a refusal", async || {
        let response = send(client.post(QUERY, &json!({}))).await;
        if response.status() != 503 {
            return None;
        }
        assert_eq!(response.headers()["retry-after"], "1");
        let text = response.text().await.unwrap();
        Some(serde_json::from_str(&text).unwrap())
    })
    .await
}

#[tokio::test]
async fn the_newest_are_refused_and_the_others_go_on() {
    let (server, ann, bob) = server().await;
    let mut socket = ann.socket().await;
    let first = Begun::post(&server, BODY - 5_000).await;
    let second = Begun::post(&server, BODY - 5_000).await;
    let answer = refused(&ann).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE");
    assert_eq!(error["extensions"]["limit"], 4 * BODY);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("http.in_flight_bytes"), "{message}");

    // Also over GET, and a new socket; health is always answered, and so are other tenants.
    assert_eq!(send(ann.get(&[("query", QUERY)])).await.status(), 503);
    for path in ["/health/live", "/health/ready"] {
        let request = ann.request(reqwest::Method::GET, path);
        assert_eq!(send(request).await.status(), 200, "{path}");
    }
    bob.data(QUERY, &json!({})).await;
    // What is small is an error of its operation; what is not can be read by no one.
    socket.subscribe("1", QUERY, &json!({})).await;
    let message = socket.message().await;
    assert_eq!(message["type"], "error");
    let code = &message["payload"][0]["extensions"]["code"];
    assert_eq!(*code, "UNAVAILABLE", "{message}");
    socket
        .send_bytes(&client_frame(0x81, &[b' '; 50_000]))
        .await;
    let (code, reason) = socket.closed_with().await;
    assert_eq!(code, 1013, "{reason}");

    for begun in [first, second] {
        let answer = begun.finish().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let (status, _) = body(ann.post(QUERY, &json!({}))).await;
    assert_eq!(status, 200, "there is room again");
}

/// Requests that end however they do leave nothing behind.
#[tokio::test]
async fn what_was_in_flight_is_given_back() {
    let (server, ann, _) = server().await;
    for _ in 0..3 {
        let gone = [
            Begun::post(&server, BODY - 5_000).await,
            Begun::post(&server, BODY - 5_000).await,
        ];
        refused(&ann).await;
        drop(gone);
        eventually("room", async || {
            let (status, _) = body(ann.post(QUERY, &json!({}))).await;
            (status == 200).then_some(())
        })
        .await;
        // Half a message on sockets that then go.
        let mut sockets: Vec<Socket> = Vec::new();
        for _ in 0..2 {
            let mut socket = ann.socket().await;
            let message = client_frame(0x81, &[b' '; BODY]);
            socket.send_bytes(&message[..BODY - 5_000]).await;
            sockets.push(socket);
        }
        refused(&ann).await;
        drop(sockets);
        eventually("room", async || {
            let (status, _) = body(ann.post(QUERY, &json!({}))).await;
            (status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_limit_has_room_for_the_largest_request() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("http.in_flight_bytes", "1000000")];
    let refused = run(program(folder.path(), &[], &settings)).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("http.in_flight_bytes"),
        "{}",
        refused.stderr
    );
}

const MIB: usize = 1024 * 1024;

/// Half of all, 24 MiB, is for each tenant, and new answers of 12 MiB are refused from 18 on.
#[tokio::test]
async fn answers_that_are_not_read_count_over_every_transport() {
    let server = Setup::new()
        .set("http.in_flight_bytes", 48 * MIB)
        .set("runs.answer_bytes", 2 * MIB)
        .key("ann's", "acme", "ann")
        .key("bob's", "other", "bob")
        .start()
        .await;
    let (ann, bob) = (server.client_with("ann's"), server.client_with("bob's"));
    let piece = "word ".repeat(2_000);
    let long = || Script::tokens(std::iter::repeat_n(&piece, MIB / piece.len()));
    let document = |session: &str| {
        let texts: String = (0..12).map(|n| format!("t{n}: text ")).collect();
        format!(
            "{{ session(id: \"{session}\") {{ messages(last: 1) {{ nodes {{ {texts} }} }} }} }}"
        )
    };
    server.upstream.then(long());
    let of_ann = document(&string(&chat(&ann, None, "Hi").await["session"]["id"]));
    server.upstream.then(long());
    let of_bob = document(&string(&chat(&bob, None, "Hi").await["session"]["id"]));

    let content = json!({ "query": of_ann }).to_string();
    let mut unread = TcpStream::connect(&server.address).await.unwrap();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ann's\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{content}",
        content.len()
    );
    unread.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(
        unread.read_u8().await.unwrap(),
        b'H',
        "the answer is on its way"
    );

    let none = json!({});
    let (status, refusal) = body(ann.post(&of_ann, &none)).await;
    assert_eq!(status, 503);
    assert!(
        refusal.to_string().contains("http.in_flight_bytes"),
        "{refusal}"
    );
    let over_sse = ann
        .post(&of_ann, &none)
        .header("accept", "text/event-stream");
    let over_sse = send(over_sse).await.text().await.unwrap();
    assert!(
        over_sse.contains("UNAVAILABLE") && over_sse.len() < 2_000,
        "{over_sse}"
    );
    let mut socket = ann.socket().await;
    socket.subscribe("1", &of_ann, &none).await;
    let answer = socket.message().await;
    let code = &answer["payload"]["errors"][0]["extensions"]["code"];
    assert_eq!(code, "UNAVAILABLE", "{answer}");
    assert_eq!(socket.message().await["type"], "complete");
    // Small answers and other tenants go on.
    ann.data(QUERY, &none).await;
    bob.data(&of_bob, &none).await;
    drop(unread);
    eventually("room for the answer", async || {
        let response = send(ann.post(&of_ann, &none)).await;
        (response.status() == 200).then_some(())
    })
    .await;
}
