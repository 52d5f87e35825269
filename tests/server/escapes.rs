//! Escapes in the strings of documents (GraphQL, September 2025, section 2.9.4).

use serde_json::{Value, json};

use crate::support::server::TestServer;

async fn said(server: &TestServer, literal: &str) -> Value {
    let document = format!(
        "mutation {{ sendMessage(input: {{ message: {{ text: {literal} }} }}) {{ \
           userMessage {{ text }} }} }}"
    );
    server.client().response(&document, &json!({})).await
}

#[tokio::test]
async fn characters_beyond_the_first_plane_are_read_however_they_are_escaped() {
    let server = TestServer::start().await;
    for (literal, text) in [
        (r#""a\ud83d\ude00b""#, "a😀b"),
        (r#""a\u{1F600}b""#, "a😀b"),
        (r#""\uD83D\uDE00\uD83D\uDE00""#, "😀😀"),
        (r#""\u{22}\u{5C}n\u{E9}\n.""#, "\"\\né\n."),
        (r#""😀 \u00e9""#, "😀 é"),
        (r#""""\u{1F600}""""#, "\\u{1F600}"),
    ] {
        let response = said(&server, literal).await;
        let read = &response["data"]["sendMessage"]["userMessage"]["text"];
        assert_eq!(read, text, "{literal}: {response}");
    }
}

#[tokio::test]
async fn half_a_character_is_refused() {
    let server = TestServer::start().await;
    for literal in [
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#""\ud83d\u0041""#,
        r#""\u{110000}""#,
        r#""\u{d83d}""#,
        r#""\u{}""#,
        r#""\u{1F600""#,
        r#""\u12""#,
    ] {
        let response = said(&server, literal).await;
        let error = &response["errors"][0];
        assert_eq!(
            error["extensions"]["code"], "GRAPHQL_PARSE_FAILED",
            "{literal}: {response}"
        );
        assert_eq!(error["locations"][0]["line"], 1, "{response}");
    }
    assert_eq!(server.upstream.received().len(), 0);
}
