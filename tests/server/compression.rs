//! Long answers are compressed as the client prefers; streams never are.

use serde_json::json;

use crate::support::client::send;
use crate::support::server::TestServer;
use crate::support::talk::input;

#[tokio::test]
async fn long_answers_are_compressed_and_streams_are_not() {
    let server = TestServer::start().await;
    let client = server.client();
    let long = "{ __schema { types { name description fields { name } } } }";
    for (accepted, expected) in [
        ("br", Some("br")),
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("gzip;q=0.5, br", Some("br")),
        ("identity", None),
        ("br;q=0", None),
    ] {
        let request = client.post(long, &json!({}));
        let answer = send(request.header("accept-encoding", accepted)).await;
        let encoding = answer.headers().get("content-encoding");
        let encoding = encoding.map(|encoding| encoding.to_str().unwrap().to_owned());
        assert_eq!(encoding.as_deref(), expected, "{accepted}");
        let vary = answer.headers()["vary"].to_str().unwrap().to_owned();
        assert!(
            vary.contains("accept-encoding") || expected.is_none(),
            "{vary}"
        );
        let bytes = answer.bytes().await.unwrap().len();
        assert_eq!(bytes < 10_000, expected.is_some(), "{accepted}: {bytes}");
    }
    let short = client.post("{ server { version } }", &json!({}));
    let answer = send(short.header("accept-encoding", "gzip")).await;
    assert!(!answer.headers().contains_key("content-encoding"));

    let chat = "subscription($input: ChatInput!) { chat(input: $input) { sequence } }";
    let stream = client
        .post(chat, &input(None, "Hello"))
        .header("accept", "text/event-stream")
        .header("accept-encoding", "gzip, br, zstd");
    let stream = send(stream).await;
    assert!(!stream.headers().contains_key("content-encoding"));
    assert!(stream.text().await.unwrap().starts_with(":\n\n"));
}
