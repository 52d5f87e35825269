//! Nothing may take for ever: neither a request's arrival nor its answer.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::panics;
use crate::support::client::body;
use crate::support::faulty::Fault;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat_subscription, half_said, input};
use crate::support::wait::soon;

const STALLED: &str = "{ agent(name: \"research\") { name } }";

fn check(errors: &Value) {
    assert_eq!(errors[0]["extensions"]["code"], "UNAVAILABLE", "{errors}");
    assert!(errors[0]["extensions"]["requestId"].is_string());
}

/// A query that takes too long is answered, over every transport.
#[tokio::test]
async fn a_query_has_its_time() {
    let fault = Fault::stall();
    let setup = Setup::new().set("http.query_timeout_ms", 50);
    let server = panics::with(setup, &fault).start().await;
    fault.set(true);
    let client = server.client();
    let (status, answer) = body(client.post(STALLED, &json!({}))).await;
    assert_eq!(status, 200);
    check(&answer["errors"]);
    let modern = client.post(STALLED, &json!({}));
    let modern = modern.header("accept", "application/graphql-response+json");
    assert_eq!(body(modern).await.0, 503);

    let streamed = client.events(STALLED, &json!({})).await.rest().await;
    check(&streamed[0]["errors"]);
    let mut socket = client.socket().await;
    socket.subscribe("1", STALLED, &json!({})).await;
    let message = socket.message().await;
    assert_eq!(message["type"], "error", "{message}");
    check(&message["payload"]);
    fault.set(false);
    let data = client.data(STALLED, &json!({})).await;
    assert_eq!(data["agent"]["name"], "research");
}

/// A body that trickles in is refused, and its connection ends.
#[tokio::test]
async fn a_body_has_its_time() {
    let server: TestServer = Setup::new().set("http.body_timeout_ms", 50).start().await;
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    soon("the connection's end", read).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("LIMIT_EXCEEDED"), "{answer}");
}

/// A connection on which nothing is asked ends, whether it says nothing, too little, or has
/// been answered before; a stream that is being written does not.
#[tokio::test]
async fn a_connection_has_its_time() {
    let server = Setup::new().set("http.head_timeout_ms", 100).start().await;
    let request = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for said in ["", "PRI", "GET / HTTP/1.1\r\nhost:", request] {
        let mut connection = TcpStream::connect(&server.address).await.unwrap();
        connection.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = connection.read_to_end(&mut answer);
        soon("the connection's end", read).await.unwrap();
        assert_eq!(
            answer.starts_with(b"HTTP/1.1 200"),
            said == request,
            "{said}"
        );
    }
    server.upstream.then(half_said());
    let client = server.client();
    let mut stream = client
        .events(&chat_subscription(), &input(None, "Hello"))
        .await;
    server.upstream.wait_holding(1).await;
    // Longer than the time, by the server's own clock.
    let mut idle = TcpStream::connect(&server.address).await.unwrap();
    soon("an end", idle.read_to_end(&mut Vec::new()))
        .await
        .unwrap();
    server.upstream.release();
    let rest = soon("the stream's end", async {
        let mut last = Value::Null;
        while let Some(next) = stream.next().await {
            last = next;
        }
        last
    });
    assert_eq!(rest.await["data"]["chat"]["__typename"], "RunCompleted");
}

/// Connections past the limit wait until one ends.
#[tokio::test]
async fn connections_are_bounded() {
    let server = Setup::new()
        .set("http.connections", 1)
        .set("http.head_timeout_ms", 100)
        .start()
        .await;
    let _idle = TcpStream::connect(&server.address).await.unwrap();
    let client = server.client();
    let data = client.data("{ viewer { owner } }", &json!({})).await;
    assert_eq!(data["viewer"]["owner"], "dev");
}
