//! GraphQL over HTTP where the public audits do not look.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::server::TestServer;

const MODERN: &str = "application/graphql-response+json";

async fn post(client: &Client, accept: &str, text: &str) -> (u16, Value) {
    let request = client
        .request(Method::POST, "/graphql")
        .header("content-type", "application/json")
        .header("accept", accept)
        .body(text.to_owned());
    body(request).await
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

/// What fails before execution has no `data`, a code, and 400 in the media type that tells
/// about the request; what fails while executing has `data` and 200 in both.
#[tokio::test]
async fn errors_before_and_while_executing_are_told_apart() {
    let server = TestServer::start().await;
    let client = server.client();
    let invalid = "GRAPHQL_VALIDATION_FAILED";
    let unclear = "OPERATION_RESOLUTION_FAILURE";
    let cases = [
        (json!({ "query": "{" }), "GRAPHQL_PARSE_FAILED"),
        (json!({ "query": "" }), "GRAPHQL_PARSE_FAILED"),
        (json!({ "query": "{ nothing }" }), invalid),
        (json!({ "query": "{ viewer }" }), invalid),
        (json!({ "query": "{ agent { name } }" }), invalid),
        (json!({ "query": "{ viewer { owner(x: 1) } }" }), invalid),
        (json!({ "query": "{ viewer { ...Nobody } }" }), invalid),
        (
            json!({ "query": "query($a: Nothing) { viewer { owner } }" }),
            invalid,
        ),
        (json!({ "query": "{ agent(name: $name) { id } }" }), invalid),
        (
            json!({ "query": "query A { viewer { owner } } query B { viewer { owner } }" }),
            unclear,
        ),
        (
            json!({ "query": "query A { viewer { owner } }", "operationName": "B" }),
            unclear,
        ),
        (
            json!({ "query": "query A { viewer { owner } }", "operationName": "" }),
            unclear,
        ),
        (
            json!({ "query": "fragment F on Viewer { owner }" }),
            "GRAPHQL_PARSE_FAILED",
        ),
    ];
    for (request, expected) in cases {
        let (status, answer) = post(&client, MODERN, &request.to_string()).await;
        assert_eq!((status, code(&answer)), (400, expected), "{request}");
        assert!(answer.get("data").is_none(), "{answer}");
        let (status, answer) = post(&client, "application/json", &request.to_string()).await;
        assert_eq!((status, code(&answer)), (200, expected), "{request}");
        assert!(answer.get("data").is_none(), "{answer}");
    }
    let failing = json!({ "query": "{ viewer { owner } session(id: \"x\") { id } }" });
    for accept in [MODERN, "application/json"] {
        let (status, answer) = post(&client, accept, &failing.to_string()).await;
        assert_eq!((status, code(&answer)), (200, "BAD_USER_INPUT"));
        assert_eq!(answer["data"]["viewer"]["owner"], "dev");
    }
}

/// Variables are made values of their types, or refused.
#[tokio::test]
async fn variables_are_coerced() {
    let server = TestServer::start().await;
    let client = server.client();
    let ids = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let first = "query($first: Int) { sessions(first: $first) { nodes { id } } }";
    for (document, variables, expected) in [
        // A single value stands for a list of it (GraphQL, section 3.11).
        (ids, json!({ "ids": "ses_00000000000000000000000000" }), 200),
        (
            ids,
            json!({ "ids": ["ses_00000000000000000000000000"], "other": 1 }),
            200,
        ),
        (ids, json!({ "ids": null }), 400),
        (ids, json!({}), 400),
        (ids, json!({ "ids": [null] }), 400),
        (first, json!({ "first": null }), 200),
        (first, json!({}), 200),
        (first, Value::Null, 200),
        (first, json!({ "first": 5 }), 200),
        (first, json!({ "first": "5" }), 400),
        (first, json!({ "first": 5.5 }), 400),
        (first, json!({ "first": 9_007_199_254_740_993_u64 }), 400),
    ] {
        let request = json!({ "query": document, "variables": variables });
        let (status, answer) = post(&client, MODERN, &request.to_string()).await;
        let refused = answer.get("errors").is_some();
        assert_eq!(refused, expected == 400, "{request}: {status} {answer}");
    }
}

/// Nothing is executed with a variable that is missing, null or of another type.
#[tokio::test]
async fn a_wrong_variable_is_a_request_error() {
    let server = TestServer::start().await;
    let client = server.client();
    let ids = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let nested = "query($id: ID!) { nodes(ids: [$id]) { id } }";
    let chat = "mutation($input: ChatInput!) { chat(input: $input) { run { id } } }";
    let text =
        "mutation($text: String!) { chat(input: { message: { text: $text } }) { run { id } } }";
    let two = "query($a: ID!, $b: ID!) { a: node(id: $a) { id } b: node(id: $b) { id } }";
    for (document, variables, named) in [
        (ids, json!({}), "$ids"),
        (ids, json!({ "ids": null }), "$ids"),
        (ids, json!({ "ids": ["x", null] }), "$ids[1]"),
        (ids, json!({ "ids": [{}] }), "$ids[0]"),
        (nested, json!({}), "$id"),
        (nested, json!({ "id": true }), "$id"),
        (chat, json!({}), "$input"),
        (chat, json!({ "input": "Hello" }), "$input"),
        (chat, json!({ "input": {} }), "message"),
        (
            chat,
            json!({ "input": { "message": { "text": 1 } } }),
            "$input.message.text",
        ),
        (
            chat,
            json!({ "input": { "message": { "text": "Hi" }, "nothing": 1 } }),
            "nothing",
        ),
        (
            chat,
            json!({ "input": { "message": { "text": "Hi" }, "onActiveRun": "RUN" } }),
            "$input.onActiveRun",
        ),
        (text, json!({}), "$text"),
        (text, json!({ "text": null }), "$text"),
        (text, json!({ "text": ["a", "b"] }), "$text"),
        (two, json!({ "a": "ses_00000000000000000000000000" }), "$b"),
    ] {
        let request = json!({ "query": document, "variables": variables }).to_string();
        for (accept, expected) in [(MODERN, 400), ("application/json", 200)] {
            let (status, answer) = post(&client, accept, &request).await;
            assert_eq!(status, expected, "{request}: {answer}");
            assert!(answer.get("data").is_none(), "{answer}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(named), "{named}: {message}");
        }
        let (status, answer) = post(&client, "text/event-stream", &request).await;
        assert_eq!(status, 400, "no stream begins: {answer}");
        let mut socket = client.socket().await;
        socket.subscribe("1", document, &variables).await;
        let message = socket.message().await;
        assert_eq!(message["type"], "error", "{message}");
        assert!(socket.is_quiet().await);
    }
    assert!(server.upstream.received().is_empty());
    // What has a default or may be null may be left out.
    for (document, variables) in [
        (
            "query($first: Int! = 5) { sessions(first: $first) { nodes { id } } }",
            json!({}),
        ),
        (
            "query($first: Int) { sessions(first: $first) { nodes { id } } }",
            json!({}),
        ),
        (ids, json!({ "ids": 7 })),
        (
            chat,
            json!({ "input": { "message": { "text": "Hi" }, "onActiveRun": "REJECT" } }),
        ),
    ] {
        let request = json!({ "query": document, "variables": variables }).to_string();
        let (status, answer) = post(&client, MODERN, &request).await;
        assert_eq!(status, 200, "{request}: {answer}");
    }
}

#[tokio::test]
async fn an_operation_is_chosen_by_name_over_get_too() {
    let server = TestServer::start().await;
    let client = server.client();
    let both = "query A { viewer { owner } } query B { viewer { tenant } }";
    for (name, expected) in [("A", "owner"), ("B", "tenant")] {
        let request = client.get(&[("query", both), ("operationName", name)]);
        let (status, answer) = body(request).await;
        assert_eq!(
            (status, &answer["data"]["viewer"][expected]),
            (200, &json!("dev"))
        );
    }
    let variables = [
        ("query", "query($id: ID!) { node(id: $id) { id } }"),
        ("variables", r#"{"id":"ses_00000000000000000000000000"}"#),
    ];
    let (status, answer) = body(client.get(&variables)).await;
    assert_eq!((status, &answer["data"]["node"]), (200, &Value::Null));
    for wrong in [
        [("query", both), ("query", both)],
        [("query", "{ viewer { owner } }"), ("extensions", "[]")],
        [("query", "{ viewer { owner } }"), ("variables", "{")],
    ] {
        let (status, answer) = body(client.get(&wrong)).await;
        assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"), "{wrong:?}");
    }
}

/// Types are strict, and the error names the parameter; what later versions of the
/// specification may add is ignored.
#[tokio::test]
async fn parameters_are_strict() {
    let server = TestServer::start().await;
    let client = server.client();
    for (name, value) in [
        ("query", json!(["{ viewer { owner } }"])),
        ("query", json!({ "a": 1 })),
        ("operationName", json!(1)),
        ("operationName", json!([])),
        ("variables", json!([1])),
        ("variables", json!("{}")),
        ("variables", json!(true)),
        ("extensions", json!([])),
        ("extensions", json!("{}")),
        ("documentId", json!(7)),
    ] {
        let mut request = json!({ "query": "{ viewer { owner } }" });
        request[name] = value;
        let (status, answer) = post(&client, "application/json", &request.to_string()).await;
        assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"), "{request}");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(&format!("`{name}`")), "{message}");
        assert!(!message.contains("RawValue"), "{message}");
    }
    let tolerant = json!({ "query": "{ viewer { owner } }", "operationName": null,
        "variables": null, "extensions": null, "documentId": null, "onError": "NULL" });
    let (status, answer) = post(&client, MODERN, &tolerant.to_string()).await;
    assert_eq!(
        (status, &answer["data"]["viewer"]["owner"]),
        (200, &json!("dev"))
    );
}
