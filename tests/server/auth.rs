//! Keys.

use reqwest::Method;
use serde_json::json;

use crate::support::client::{body, send};
use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer, key_setting};
use crate::support::talk::chat;
use crate::support::websocket::{PROTOCOL, Socket, upgrade};

const KEY: &str = "key-of-alice";

async fn server() -> TestServer {
    Setup::new().key(KEY, "acme", "alice").start().await
}

#[tokio::test]
async fn a_request_needs_a_known_key() {
    let server = server().await;
    let keyless = server.client();
    let query = keyless.post("{ viewer { owner } }", &json!({}));
    let headers = [
        None,
        Some("Bearer wrong"),
        Some(KEY),
        Some("Basic a2V5"),
        Some("Bearer "),
    ];
    for header in headers {
        let mut request = query.try_clone().unwrap();
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let response = send(request).await;
        assert_eq!(response.status(), 401, "{header:?}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let answer: serde_json::Value =
            serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
    let get = keyless.get(&[("query", "{ viewer { owner } }")]);
    assert_eq!(body(get).await.0, 401);
}

#[tokio::test]
async fn a_key_stands_for_its_owner() {
    let server = server().await;
    let client = server.client_with(KEY);
    let data = client
        .data("{ viewer { tenant owner name } }", &json!({}))
        .await;
    assert_eq!(
        data["viewer"],
        json!({ "tenant": "acme", "owner": "alice", "name": "alice" })
    );
    assert_eq!(
        chat(&client, None, "Hello").await["run"]["status"],
        "COMPLETED"
    );
    let mut events = client.events("{ viewer { owner } }", &json!({})).await;
    let response = events.next().await.unwrap();
    assert_eq!(response["data"]["viewer"]["owner"], "alice");
}

#[tokio::test]
async fn without_keys_everybody_is_the_developer() {
    let server = TestServer::start().await;
    let data = server
        .client_with("anything")
        .data("{ viewer { tenant } }", &json!({}))
        .await;
    assert_eq!(data["viewer"]["tenant"], "dev");
}

#[tokio::test]
async fn a_socket_needs_a_known_key() {
    let server = server().await;
    for payload in [
        json!(null),
        json!({}),
        json!({ "authorization": "Bearer wrong" }),
        json!({ "authorization": 1 }),
        json!({ "token": KEY }),
    ] {
        let mut socket = Socket::connect(&server.address).await;
        socket
            .say(&json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(socket.closed().await, 4403, "{payload}");
    }
    // With the key in connection_init, or on the upgrade request.
    let mut socket = server.client_with(KEY).socket().await;
    socket
        .subscribe("1", "{ viewer { owner } }", &json!({}))
        .await;
    assert_eq!(
        socket.rest("1").await[0]["data"]["viewer"]["owner"],
        "alice"
    );
    let bearer = format!("Bearer {KEY}");
    let request = upgrade(
        &server.address,
        Some(PROTOCOL),
        &[("authorization", &bearer)],
    );
    let mut socket = Socket::open(request).await.unwrap();
    socket.init(None).await;
    socket
        .subscribe("1", "{ viewer { owner } }", &json!({}))
        .await;
    assert_eq!(
        socket.rest("1").await[0]["data"]["viewer"]["owner"],
        "alice"
    );
}

#[tokio::test]
async fn what_tells_nothing_needs_no_key() {
    let server = server().await;
    let client = server.client();
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(
            send(client.request(Method::GET, path)).await.status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn another_address_needs_keys() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = [("http.address", "0.0.0.0")];
    let refused = run(program(folder.path(), &[], &everywhere)).await;
    assert_eq!(refused.code, 1);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("http.address"),
        "{}",
        refused.stderr
    );
    // With keys the settings are accepted.
    let keys = key_setting(KEY, "acme", "alice");
    std::fs::write(folder.path().join("talkgraph.toml"), keys).unwrap();
    let accepted = run(program(folder.path(), &["config"], &everywhere)).await;
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
}

#[tokio::test]
async fn the_settings_are_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "OPENAI_API_KEY=sk-openai-secret\nANTHROPIC_API_KEY=sk-ant-secret\n",
    )
    .unwrap();
    let url = "postgres://me:db-secret@db.example/talk";
    let shown = run(program(folder.path(), &["config"], &[("store.url", url)])).await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stdout.contains("-secret"), "{}", shown.stdout);
    let hidden = shown.stdout.matches("(hidden)").count();
    assert_eq!(hidden, 3, "{}", shown.stdout);
    assert!(
        shown.stdout.contains("(hidden)@db.example/talk"),
        "{}",
        shown.stdout
    );
}
