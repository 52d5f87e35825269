//! Documents that are named instead of sent.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::client::{Client, body, send};
use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer};
use crate::support::websocket::Socket;

const DOCUMENT: &str = "query Me { viewer { owner } }";
const OTHER: &str = "{ server { version } }";

fn sha256(text: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

fn by_hash(hash: &str) -> Value {
    json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } })
}

async fn ask(client: &Client, request: &Value) -> (u16, Value) {
    let request = client
        .request(reqwest::Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .json(request);
    body(request).await
}

fn code(answer: &Value) -> &str {
    let code = &answer["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("{answer}"))
}

fn is_answer(answer: &(u16, Value)) -> bool {
    answer.0 == 200 && answer.1["data"]["viewer"]["owner"] == "dev"
}

#[tokio::test]
async fn a_document_is_registered_once_and_then_named() {
    let server = TestServer::start().await;
    let client = server.client();
    let hash = sha256(DOCUMENT);
    let named = by_hash(&hash);
    let (status, unknown) = ask(&client, &named).await;
    assert_eq!((status, code(&unknown)), (400, "PERSISTED_QUERY_NOT_FOUND"));
    // The words that Apollo Client waits for.
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound");

    let mut wrong = by_hash(&sha256(OTHER));
    wrong["query"] = DOCUMENT.into();
    let (status, refused) = ask(&client, &wrong).await;
    assert_eq!((status, code(&refused)), (400, "BAD_USER_INPUT"));

    let mut both = named.clone();
    both["query"] = DOCUMENT.into();
    assert!(is_answer(&ask(&client, &both).await));
    assert!(is_answer(&ask(&client, &named).await));
    let by_id = json!({ "documentId": format!("sha256:{hash}") });
    assert!(is_answer(&ask(&client, &by_id).await));
    let extensions = named["extensions"].to_string();
    let over_get = client.get(&[("extensions", &extensions)]);
    assert!(is_answer(&body(over_get).await));
    let mut socket = client.socket().await;
    socket
        .say(&json!({ "type": "subscribe", "id": "1", "payload": named }))
        .await;
    assert_eq!(
        socket.message().await["payload"]["data"]["viewer"]["owner"],
        "dev"
    );

    for (request, expected) in [
        (json!({}), "BAD_REQUEST"),
        (
            json!({ "query": DOCUMENT, "documentId": hash }),
            "BAD_REQUEST",
        ),
        (
            json!({ "documentId": "sha256:0" }),
            "PERSISTED_QUERY_NOT_FOUND",
        ),
        (
            json!({ "query": DOCUMENT, "extensions": { "persistedQuery": { "version": 2, "sha256Hash": hash } } }),
            "BAD_REQUEST",
        ),
    ] {
        let (status, answer) = ask(&client, &request).await;
        assert_eq!((status, code(&answer)), (400, expected), "{request}");
    }
}

/// What the guard refuses is not kept, and what is kept is bounded.
#[tokio::test]
async fn strangers_cannot_fill_the_memory_with_documents() {
    let server = Setup::new()
        .set("documents.registered_bytes", 4_000)
        .start()
        .await;
    let client = server.client();
    let register = |document: String| {
        let mut request = by_hash(&sha256(&document));
        request["query"] = document.into();
        request
    };
    assert!(is_answer(
        &ask(&client, &register(DOCUMENT.to_owned())).await
    ));
    for n in 0..40 {
        let stranger = format!("query Stranger{n} {{ viewer {{ owner }} }} # {:200}", "");
        assert!(is_answer(&ask(&client, &register(stranger)).await));
    }
    let (_, forgotten) = ask(&client, &by_hash(&sha256(DOCUMENT))).await;
    assert_eq!(code(&forgotten), "PERSISTED_QUERY_NOT_FOUND");
    let bad = "{".repeat(100);
    ask(&client, &register(bad.clone())).await;
    let (_, unknown) = ask(&client, &by_hash(&sha256(&bad))).await;
    assert_eq!(code(&unknown), "PERSISTED_QUERY_NOT_FOUND");

    let without = Setup::new()
        .set("documents.registered_bytes", 0)
        .start()
        .await;
    let (_, answer) = ask(&without.client(), &by_hash(&sha256(DOCUMENT))).await;
    assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_SUPPORTED");
}

fn manifests(folder: &Path) -> String {
    let codegen = json!({ "0a1b2c": DOCUMENT });
    let apollo = json!({ "format": "apollo-persisted-query-manifest", "version": 1,
        "operations": [{ "id": "d4", "name": "Version", "type": "query", "body": OTHER }] });
    std::fs::write(folder.join("codegen.json"), codegen.to_string()).unwrap();
    std::fs::write(folder.join("apollo.json"), apollo.to_string()).unwrap();
    folder.display().to_string()
}

#[tokio::test]
async fn only_trusted_documents_are_executed() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifests(folder.path());
    let trusting = |trust: &str| {
        Setup::new()
            .set("documents.trusted_documents", trust)
            .set("documents.manifest", &manifest)
    };
    let server = trusting("only").start().await;
    let client = server.client();
    for request in [
        json!({ "documentId": "0a1b2c" }),
        json!({ "query": DOCUMENT }),
        by_hash("0a1b2c"),
    ] {
        assert!(is_answer(&ask(&client, &request).await), "{request}");
    }
    let (_, version) = ask(&client, &by_hash("d4")).await;
    assert!(version["data"]["server"]["version"].is_string());
    for request in [
        json!({ "query": "{ __typename }" }),
        json!({ "query": "{ __schema { types { name } } }" }),
        json!({ "query": format!("{DOCUMENT} ") }),
        json!({ "documentId": "unknown" }),
        by_hash(&sha256(OTHER)),
    ] {
        let (status, answer) = ask(&client, &request).await;
        assert_eq!(
            (status, code(&answer)),
            (400, "PERSISTED_QUERY_NOT_IN_LIST"),
            "{request}"
        );
        let mut socket = Socket::connect(&server.address).await;
        socket.init(None).await;
        socket
            .say(&json!({ "type": "subscribe", "id": "1", "payload": request }))
            .await;
        let refused = socket.message().await;
        assert_eq!(
            refused["payload"][0]["extensions"]["code"],
            "PERSISTED_QUERY_NOT_IN_LIST"
        );
    }
    let graphiql = send(client.request(reqwest::Method::GET, "/")).await;
    assert_eq!(graphiql.status(), 404);

    let server = trusting("on").start().await;
    let client = server.client();
    assert!(is_answer(
        &ask(&client, &json!({ "documentId": "0a1b2c" })).await
    ));
    let (_, version) = ask(&client, &json!({ "query": OTHER })).await;
    assert!(version["data"]["server"]["version"].is_string());
}

/// A manifest that cannot be used stops the start with the setting's name.
#[tokio::test]
async fn a_bad_manifest_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("{}a{}", "{a".repeat(70), "}".repeat(70));
    for (text, why) in [
        (String::new(), "neither"),
        ("[]".to_owned(), "neither"),
        (
            json!({ "format": "other", "version": 1, "operations": [] }).to_string(),
            "version 1",
        ),
        (json!({ "h": "{ a" }).to_string(), "\"h\": syntax error"),
        (json!({ "h": deep }).to_string(), "64 levels of nesting"),
    ] {
        let manifest = folder.path().join("manifest.json");
        std::fs::write(&manifest, &text).unwrap();
        let manifest = manifest.display().to_string();
        let settings = [
            ("documents.trusted_documents", "only"),
            ("documents.manifest", manifest.as_str()),
        ];
        let output = run(program(folder.path(), &[], &settings)).await;
        assert_eq!(output.code, 1);
        let line = output.stderr;
        assert!(
            line.contains("documents.manifest") && line.contains(why),
            "{text}: {line}"
        );
    }
    let settings = [("documents.trusted_documents", "only")];
    let output = run(program(folder.path(), &[], &settings)).await;
    assert!(
        output.stderr.contains("documents.manifest"),
        "{}",
        output.stderr
    );
}
