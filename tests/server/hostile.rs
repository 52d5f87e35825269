//! What is made to hurt is refused with a code and few bytes, over every transport; the server
//! lives on and keeps nothing of it.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::hostile::{self, Hostile};
use crate::support::process::{Process, program};
use crate::support::websocket::Socket;

/// The most bytes of an answer.
const ANSWER_BYTES: usize = 4_096;

/// How much memory all of it together may leave behind, in bytes: kept documents, pools.
const LEFT_BEHIND: u64 = 48 * 1024 * 1024;

const OVER_HTTP: [&str; 3] = [
    "application/graphql-response+json",
    "text/event-stream",
    "multipart/mixed;subscriptionSpec=1.0",
];

#[tokio::test]
async fn every_hostile_request_is_refused_over_every_transport() {
    let folder = TempDir::new().unwrap();
    let server = Process::serve(program(folder.path(), &["serve"], &[])).await;
    let inputs = hostile::all();
    let round = async || {
        for input in &inputs {
            for accept in OVER_HTTP {
                refused_over_http(&server, input, accept).await;
            }
            refused_over_websocket(&server, input).await;
        }
    };
    for length_is_told in [true, false] {
        too_large(&server, length_is_told).await;
    }
    // What a process needs once is not what a request leaves behind.
    round().await;
    let before = server.memory();
    round().await;
    let grown = server.memory().saturating_sub(before);
    assert!(grown < LEFT_BEHIND, "{grown} bytes more");
    let client = server.client();
    let data = client.data("{ viewer { owner } }", &json!({})).await;
    assert_eq!(data["viewer"]["owner"], "dev");
}

async fn refused_over_http(server: &Process, input: &Hostile, accept: &str) {
    let request = server
        .client()
        .request(reqwest::Method::POST, "/graphql")
        .header("content-type", "application/json")
        .header("accept", accept)
        .body(input.request.clone());
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let name = input.name;
    assert!(status.is_client_error(), "{name} as {accept}: {status}");
    assert!(text.len() < ANSWER_BYTES, "{name} as {accept}: {text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    check(input, &answer["errors"], accept);
}

async fn refused_over_websocket(server: &Process, input: &Hostile) {
    let Ok(payload) = String::from_utf8(input.request.clone()) else {
        // Not sent by any client library; the socket's own tests send such frames.
        return;
    };
    let mut socket = Socket::connect(&server.address).await;
    socket.init(None).await;
    socket
        .send(format!(
            r#"{{"type":"subscribe","id":"1","payload":{payload}}}"#
        ))
        .await;
    match socket.next().await {
        Ok(message) => {
            assert!(message.to_string().len() < ANSWER_BYTES, "{message}");
            assert_eq!(message["type"], "error", "{}: {message}", input.name);
            check(input, &message["payload"], "WebSocket");
        }
        // The message itself was not in order, or too large.
        Err(code) => assert!([4400, 1009].contains(&code), "{}: {code}", input.name),
    }
}

fn check(input: &Hostile, errors: &Value, transport: &str) {
    let code = &errors[0]["extensions"]["code"];
    assert_eq!(
        code, input.code,
        "{} over {transport}: {errors}",
        input.name
    );
}

/// A body of 20 MB is answered although its client writes before it reads.
async fn too_large(server: &Process, length_is_told: bool) {
    let chunks = || std::iter::repeat_n(vec![b' '; 100_000], 200);
    let body = match length_is_told {
        true => reqwest::Body::from(chunks().flatten().collect::<Vec<_>>()),
        false => reqwest::Body::wrap_stream(futures_util::stream::iter(
            chunks().map(Ok::<_, std::io::Error>),
        )),
    };
    let request = server
        .client()
        .request(reqwest::Method::POST, "/graphql")
        .header("content-type", "application/json")
        .body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 413);
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let extensions = &answer["errors"][0]["extensions"];
    assert_eq!(extensions["code"], "LIMIT_EXCEEDED", "{answer}");
}
