//! What a connection of HTTP/1 does before, during and after a stream.

use serde_json::{Value, json};

use crate::support::connection::{Answer, Connection, post};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat_subscription, half_said, input};

const STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

fn chat(version: &str) -> String {
    post(version, STREAM, &chat_subscription(), &input(None, "Hello"))
}

fn query() -> String {
    post("HTTP/1.1", JSON, "{ viewer { owner } }", &json!({}))
}

fn check_stream(answer: &Answer) {
    let Answer { head, body } = answer;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for header in [
        "content-type: text/event-stream; charset=utf-8",
        "cache-control: no-store",
        "x-request-id: ",
        "transfer-encoding: chunked",
        "date: ",
    ] {
        let same = head.lines().filter(|line| line.starts_with(header));
        assert_eq!(same.count(), 1, "{head}");
    }
    assert!(body.starts_with(":\n\n"), "{body}");
    assert!(body.contains("RunCompleted"), "{body}");
    assert!(body.ends_with("event: complete\ndata:\n\n"), "{body}");
}

fn check_query(answer: &Answer) {
    let data: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(data["data"]["viewer"]["owner"], "dev");
}

#[tokio::test]
async fn a_stream_leaves_its_connection_to_the_next_request() {
    let server = TestServer::start().await;
    let mut connection = Connection::open(&server.address).await;
    for _ in 0..2 {
        connection.send(&chat("HTTP/1.1")).await;
        check_stream(&connection.answer().await);
        connection.send(&query()).await;
        check_query(&connection.answer().await);
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let server = TestServer::start().await;
    let mut connection = Connection::open(&server.address).await;
    let (query, chat) = (query(), chat("HTTP/1.1"));
    let requests = format!("{query}{chat}{chat}{query}{chat}{query}");
    connection.send(&requests).await;
    for is_stream in [false, true, true, false, true, false] {
        let answer = connection.answer().await;
        match is_stream {
            true => check_stream(&answer),
            false => check_query(&answer),
        }
    }
}

#[tokio::test]
async fn a_request_that_comes_during_a_stream_is_answered_after_it() {
    let server = TestServer::start().await;
    server.upstream.then(half_said());
    let mut connection = Connection::open(&server.address).await;
    connection.send(&chat("HTTP/1.1")).await;
    server.upstream.wait_holding(1).await;
    connection.send(&query()).await;
    server.upstream.release();
    check_stream(&connection.answer().await);
    check_query(&connection.answer().await);
}

/// More than sockets hold is still to be written when the stream is asked for.
#[tokio::test]
async fn what_was_asked_before_a_stream_is_answered_before_it() {
    let server = TestServer::start().await;
    let mut connection = Connection::open(&server.address).await;
    let long = "GET /schema.graphql HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let short = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let asked = 400;
    connection.send(&long.repeat(asked)).await;
    connection
        .send(&(short.repeat(2) + &chat("HTTP/1.1")))
        .await;
    for n in 0..asked {
        let answer = connection.answer().await;
        assert!(answer.body.contains("type Subscription"), "{n}");
    }
    for _ in 0..2 {
        assert!(connection.answer().await.head.contains("200 OK"));
    }
    check_stream(&connection.answer().await);
}

#[tokio::test]
async fn a_connection_ends_after_a_stream_where_the_client_asks_for_that() {
    let server = TestServer::start().await;
    for version in ["HTTP/1.1\r\nconnection: keep-alive, Close", "HTTP/1.0"] {
        let mut connection = Connection::open(&server.address).await;
        connection.send(&chat(version)).await;
        let all = connection.rest().await;
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        let is_chunked = version.starts_with("HTTP/1.1");
        assert_eq!(head.contains("transfer-encoding"), is_chunked, "{head}");
        assert_eq!(body.starts_with(":\n\n"), !is_chunked, "{body}");
        assert!(body.contains("RunCompleted"), "{body}");
    }
}

#[tokio::test]
async fn a_connection_ends_after_a_stream_that_a_stopping_server_ends() {
    let mut server = Setup::new().start().await;
    server.upstream.then(half_said());
    let mut connection = Connection::open(&server.address).await;
    connection.send(&chat("HTTP/1.1")).await;
    server.upstream.wait_holding(1).await;
    server.begin_stop();
    server.upstream.release();
    let all = connection.rest().await;
    assert!(all.ends_with("\r\n0\r\n\r\n"), "{all}");
}
