//! The size of a response.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{Process, program};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, create_session, follow, send, string};
use crate::support::upstream::{Script, Upstream};

const MIB: usize = 1024 * 1024;

/// An answer of so many bytes.
fn long(bytes: usize) -> Script {
    let piece = "word ".repeat(2_000);
    let pieces = bytes / piece.len();
    Script::tokens(std::iter::repeat_n(piece, pieces))
}

fn limit_exceeded(answer: &Value) -> &Value {
    assert_eq!(answer["data"], Value::Null, "{answer}");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{answer}");
    assert_eq!(errors[0]["extensions"]["code"], "LIMIT_EXCEEDED");
    &errors[0]
}

/// One small query would have an answer of 900 MB: the same message 100 times, three texts each.
#[tokio::test]
async fn small_query_cannot_make_a_huge_response() {
    let upstream = Upstream::start().await;
    let folder = TempDir::new().unwrap();
    let settings = [
        ("models.openai.base_url", upstream.base_url()),
        ("models.openai.api_key", "sk-test".to_owned()),
        ("runs.answer_bytes", (4 * MIB).to_string()),
    ];
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    let client = server.client();
    upstream.then(long(3 * MIB));
    let answered = chat(&client, None, "Say much.").await;
    let id = string(&answered["message"]["id"]);
    let text = answered["message"]["text"].as_str().unwrap();
    assert!(text.len() > 2 * MIB);

    let before = server.peak_memory();
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Message { a: text b: text c: text } } }";
    let answer = client
        .response(document, &json!({ "ids": vec![id; 100] }))
        .await;
    let error = limit_exceeded(&answer);
    assert_eq!(error["extensions"]["limit"], 16 * MIB);
    assert_eq!(error["path"][0], "nodes");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("limits.response_bytes")
    );
    let grown = server.peak_memory() - before;
    assert!(grown < 150 * MIB as u64, "{grown} bytes more");
}

/// A page of large messages is refused before it is in memory, whatever is selected of it.
#[tokio::test]
async fn large_messages_are_not_read_by_the_page() {
    let upstream = Upstream::start().await;
    let folder = TempDir::new().unwrap();
    let settings = [
        ("models.openai.base_url", upstream.base_url()),
        ("models.openai.api_key", "sk-test".to_owned()),
        ("runs.answer_bytes", (4 * MIB).to_string()),
    ];
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    let client = server.client();
    let mut ids = Vec::new();
    for number in 0..26 {
        upstream.then(long(if number < 20 { MIB } else { 10 }));
        let answered = chat(&client, None, "Say much.").await;
        ids.extend(["message", "userMessage"].map(|field| string(&answered[field]["id"])));
    }
    let before = server.peak_memory();
    let pages = "query($first: Int!) { sessions(first: $first) { nodes {
        messages(first: 20) { nodes { id } } } } }";
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let refused = async || {
        for (document, variables) in [
            (pages, json!({ "first": 100 })),
            (nodes, json!({ "ids": ids })),
        ] {
            let answer = client.response(document, &variables).await;
            assert_eq!(answer["data"], Value::Null, "{answer}");
            for error in answer["errors"].as_array().unwrap() {
                assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{answer}");
            }
        }
    };
    futures_util::future::join_all((0..6).map(|_| refused())).await;
    let grown = server.peak_memory() - before;
    assert!(grown < 300 * MIB as u64, "{grown} bytes more");
    client.data(pages, &json!({ "first": 5 })).await;
    client.data(nodes, &json!({ "ids": ids[..10] })).await;
}

async fn small(bytes: usize) -> TestServer {
    Setup::new()
        .set("limits.response_bytes", bytes)
        .start()
        .await
}

/// Each time that a text is written counts, by whichever way it is resolved, and what is within
/// the limit is answered whole.
#[tokio::test]
async fn texts_count_each_time_that_they_are_written() {
    let server = small(100_000).await;
    let client = server.client();
    server.upstream.then(long(30_000));
    let answered = chat(&client, None, "Say much.").await;
    let (id, session) = (&answered["message"]["id"], &answered["session"]["id"]);
    for (selection, fits) in [
        ("a: text b: text c: text", true),
        ("a: text b: text c: text d: text", false),
        (
            "parts { ... on TextPart { a: text b: text c: text } }",
            true,
        ),
        (
            "parts { ... on TextPart { a: text b: text c: text d: text } }",
            false,
        ),
        // What the short cut has begun to count is not counted twice.
        (
            "a: text b: text parts { __typename } usage { inputTokens }",
            true,
        ),
        (
            "a: text siblings(last: 2) { b: text siblings(last: 2) { c: text } }",
            true,
        ),
        (
            "a: text siblings(last: 2) { b: text siblings(last: 2) { c: text d: text } }",
            false,
        ),
    ] {
        let by_id =
            format!("query($id: ID!) {{ node(id: $id) {{ ... on Message {{ {selection} }} }} }}");
        let listed = format!(
            "query($id: ID!) {{ session(id: $id) {{ messages {{ nodes {{ {selection} }} }} }} }}"
        );
        for (document, id) in [(by_id, id), (listed, session)] {
            let answer = client.response(&document, &json!({ "id": id })).await;
            match fits {
                true => assert_eq!(answer.get("errors"), None, "{document}"),
                false => assert!(
                    limit_exceeded(&answer)["path"].is_array(),
                    "{document}: {answer}"
                ),
            }
        }
    }
}

/// A change stays, and can be asked for again with fewer fields.
#[tokio::test]
async fn mutation_with_too_large_a_payload_has_its_effect() {
    let server = small(50_000).await;
    let client = server.client();
    server.upstream.then(long(30_000));
    let document =
        "mutation($input: ChatInput!) { chat(input: $input) { message { a: text b: text } } }";
    let input = json!({ "input": { "message": { "text": "Say much." } } });
    limit_exceeded(&client.response(document, &input).await);
    let sessions = "{ sessions { nodes { messages { nodes { text } } } } }";
    let sessions = client.data(sessions, &json!({})).await;
    let said = &sessions["sessions"]["nodes"][0]["messages"]["nodes"][1]["text"];
    assert_eq!(said.as_str().unwrap().len(), 30_000);
}

/// A subscription's budget is of each event, not of the stream.
#[tokio::test]
async fn events_have_a_budget_each() {
    let server = small(40_000).await;
    let client = server.client();
    server.upstream.then(long(50_000));
    let (_, run) = send(&client, None, "Say much.").await;
    let log = follow(&client, &run, 0).await.rest().await;
    let (whole, large): (Vec<_>, Vec<_>) = log.iter().partition(|one| one.get("errors").is_none());
    assert!(!large.is_empty());
    for one in large {
        limit_exceeded(one);
    }
    // Later events are within it again.
    let last = whole.last().unwrap();
    assert_eq!(
        last["data"]["runEvents"]["__typename"], "RunCompleted",
        "{last}"
    );
    // Without the text so far, the pieces are.
    let pieces =
        "subscription($run: ID!) { runEvents(runId: $run) { ... on TextDelta { delta } } }";
    let pieces = client
        .events(pieces, &json!({ "run": run }))
        .await
        .rest()
        .await;
    let text = pieces
        .iter()
        .filter_map(|one| one["data"]["runEvents"]["delta"].as_str());
    assert_eq!(text.map(str::len).sum::<usize>(), 50_000);
}

/// Bytes that no resolver charges are counted in the end: the schema, aliases, small values.
#[tokio::test]
async fn schema_and_names_count() {
    let server = small(20_000).await;
    let client = server.client();
    let types = "{ __schema { types { name fields { name description } } } }";
    limit_exceeded(&client.response(types, &json!({})).await);
    create_session(&client).await;
    let alias = "a".repeat(20_000);
    let long = format!("{{ {alias}: sessions {{ nodes {{ id }} }} }}");
    limit_exceeded(&client.response(&long, &json!({})).await);
    // The error itself is small.
    let document = "{ __schema { types { fields { description } } } }";
    let small_error = client.response(document, &json!({})).await;
    assert!(small_error.to_string().len() < 1_000, "{small_error}");
    let short = "{ sessions { nodes { id } } }";
    assert_eq!(
        client.data(short, &json!({})).await["sessions"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Errors repeat what a client has sent, but not all of it.
#[tokio::test]
async fn errors_quote_little() {
    let server = TestServer::start().await;
    let client = server.client();
    let long = "x".repeat(60_000);
    for (document, name) in [
        (
            "query($a: String!) { agent(name: $a) { id } }",
            long.as_str(),
        ),
        ("query($a: ID!) { session(id: $a) { id } }", &long),
        ("query($a: ID!) { node(id: $a) { id } }", &long),
        (
            "query($a: String) { sessions(after: $a) { nodes { id } } }",
            &long,
        ),
    ] {
        let answer = client.response(document, &json!({ "a": name })).await;
        let bytes = answer.to_string().len();
        assert!(bytes < 3_000, "{bytes} bytes: {document}");
        assert!(answer["errors"][0]["message"].is_string());
    }
}
