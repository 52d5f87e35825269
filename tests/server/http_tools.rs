//! Tools that are HTTP requests, declared in the settings.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};
use serde_json::{Value, json};

use crate::support::client::body;
use crate::support::pages::Pages;
use crate::support::process::{program, run};
use crate::support::server::Setup;
use crate::tools::{CALL, call, failure, output, refused};

/// What came to a server: its line, its headers and its body.
pub(crate) type Seen = Arc<Mutex<Vec<(String, Vec<(String, String)>, String)>>>;

/// A server that notes what comes and answers with an order.
pub(crate) async fn orders() -> (Pages, Seen) {
    let seen: Seen = Arc::default();
    let noted = Arc::clone(&seen);
    let answer = any(async move |request: Request| {
        let line = format!("{} {}", request.method(), request.uri());
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.unwrap();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let text = String::from_utf8(body.to_vec()).unwrap();
        noted.lock().unwrap().push((line, headers.collect(), text));
        r#"{"order": {"status": "shipped", "items": [1, 2]}}"#
    });
    let routes = Router::new()
        .route("/orders/{*path}", answer)
        .route(
            "/gone",
            get(|| async { (StatusCode::GONE, "It was deleted.") }),
        )
        .route("/moved", get(|| async { Redirect::temporary("/orders/1") }))
        .route(
            "/slow",
            get(|| async { std::future::pending::<&str>().await }),
        )
        .route("/page", get(|| async { "no JSON".into_response() }));
    (Pages::serve(routes).await, seen)
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

/// A tool without arguments that gets a URL.
fn plain(name: &str, url: &str) -> String {
    format!(
        "[[tools.http]]\nname = \"{name}\"\ndescription = \"Tells.\"\nmethod = \"GET\"\n\
         url = \"{url}\"\nparameters = '{{\"type\": \"object\"}}'\n"
    )
}

#[tokio::test]
async fn a_request_is_made_of_arguments_and_secrets() {
    let (pages, seen) = orders().await;
    let url = pages.url("/orders/{{ args.number }}?note={{ args.note }}");
    let settings = format!(
        "[tools.approval]\ncancel_order = \"args.number == 'A 1/7'\"\n\
         [[tools.http]]\nname = \"cancel_order\"\ndescription = \"Cancels an order.\"\n\
         method = \"POST\"\nurl = \"{url}\"\nresponse_pointer = \"/order/status\"\n\
         body = '{{\"reason\": {{{{ args.note }}}}, \"times\": {{{{ args.times|default(1) }}}}}}'\n\
         headers = {{ authorization = {{ env = \"ORDERS_TOKEN\" }}, x-shop = \"acme\" }}\n\
         forward_headers = [\"x-customer\", \"x-absent\"]\n\
         [tools.http.parameters]\ntype = \"object\"\nrequired = [\"number\", \"note\"]\n\
         [tools.http.parameters.properties.number]\ntype = \"string\"\nmaxLength = 10\n\
         [tools.http.parameters.properties.note]\ntype = \"string\"\n"
    );
    let server = Setup::new()
        .file(&settings)
        .variable("ORDERS_TOKEN", "Bearer s3cret")
        .start()
        .await;
    let note = "\"now\" & then";
    let input = json!({ "name": "cancel_order", "arguments": { "number": "A 1/7", "note": note } });
    let request = server.client().post(CALL, &json!({ "input": input }));
    let request = request.header("x-customer", "42").header("x-other", "43");
    let (_, answer) = body(request).await;
    assert_eq!(
        answer["data"]["callTool"]["output"]["text"], "shipped",
        "{answer}"
    );
    let seen = seen.lock().unwrap().pop().unwrap();
    assert_eq!(seen.0, "POST /orders/A%201%2F7?note=%22now%22%20%26%20then");
    let sent: Value = serde_json::from_str(&seen.2).unwrap();
    assert_eq!(sent, json!({ "reason": note, "times": 1 }));
    for (name, value) in [
        ("authorization", Some("Bearer s3cret")),
        ("x-shop", Some("acme")),
        ("x-customer", Some("42")),
        ("x-other", None),
        ("content-type", Some("application/json")),
    ] {
        assert_eq!(header(&seen.1, name), value, "{name}");
    }
    assert!(header(&seen.1, "idempotency-key").unwrap().len() > 20);
    let query = "{ tools { name approval idempotent parameters } }";
    let data = server.client().data(query, &json!({})).await;
    let tool = &data["tools"][1];
    assert_eq!(tool["name"], "cancel_order");
    assert_eq!(tool["approval"], "CONDITIONAL");
    assert_eq!(tool["idempotent"], false);
    assert_eq!(tool["parameters"]["properties"]["number"]["maxLength"], 10);
}

#[tokio::test]
async fn what_comes_back_is_told() {
    let (pages, seen) = orders().await;
    let mut settings = "[tools]\ntimeout_ms = 20_000\n".to_owned();
    for (name, path) in [
        ("whole", "/orders/1"),
        ("gone", "/gone"),
        ("moved", "/moved"),
    ] {
        settings += &plain(name, &pages.url(path));
    }
    for (name, path, pointer) in [
        ("part", "/orders/1", "/order/items"),
        ("nothing", "/orders/1", "/order/price"),
        ("page", "/page", "/a"),
    ] {
        settings += &plain(name, &pages.url(path));
        settings += &format!("response_pointer = \"{pointer}\"\n");
    }
    settings += &plain("slow", &pages.url("/slow"));
    settings += "timeout_ms = 200\n";
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    let whole = output(&client, "whole", json!({})).await;
    assert_eq!(
        whole,
        r#"{"order": {"status": "shipped", "items": [1, 2]}}"#
    );
    assert_eq!(output(&client, "part", json!({})).await, "[1,2]");
    for (name, told) in [
        (
            "gone",
            "HTTP_STATUS: the server responded with HTTP status 410: It was deleted.",
        ),
        (
            "moved",
            "HTTP_STATUS: the server responded with HTTP status 307",
        ),
        (
            "nothing",
            "FAILED: the response has nothing at /order/price",
        ),
        ("page", "FAILED: the response is not JSON"),
        ("slow", "TIMED_OUT: the call took longer than 0.2 s"),
    ] {
        assert_eq!(failure(&client, name, json!({})).await, told);
    }
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn large_responses_are_cut() {
    let (pages, _) = orders().await;
    let settings = format!(
        "[tools]\nresponse_bytes = 20\n{}{}response_pointer = \"/order\"\n",
        plain("whole", &pages.url("/orders/1")),
        plain("part", &pages.url("/orders/1"))
    );
    let server = Setup::new().file(&settings).start().await;
    let called = call(&server.client(), "whole", json!({})).await;
    assert_eq!(called["output"]["truncated"], true);
    assert_eq!(called["output"]["text"], "{\"order\": {\"status\":");
    let told = failure(&server.client(), "part", json!({})).await;
    assert_eq!(told, "FAILED: the response is larger than 20 bytes");
}

/// The host that the settings write out may be reached, wherever it is; one that comes out of
/// an argument may not.
#[tokio::test]
async fn an_argument_cannot_choose_this_machine() {
    let (pages, seen) = orders().await;
    let port = pages.address.port();
    let mut settings = "[tools.egress]\nports = []\n".to_owned();
    for (name, url) in [
        ("host", format!("http://{{{{ args.x }}}}:{port}/orders/1")),
        ("path", pages.url("/orders/{{ args.x }}")),
    ] {
        settings += &plain(name, &url);
    }
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1"] {
        let told = failure(&client, "host", json!({ "x": host })).await;
        assert!(told.starts_with("REFUSED: "), "{host}: {told}");
    }
    assert_eq!(seen.lock().unwrap().len(), 0);
    output(&client, "path", json!({ "x": "127.0.0.1@evil.example/?#" })).await;
    let line = seen.lock().unwrap().pop().unwrap().0;
    assert_eq!(line, "GET /orders/127.0.0.1%40evil.example%2F%3F%23");
    let told = failure(&client, "path", json!({ "x": ".." })).await;
    assert!(
        told.starts_with("FAILED: an argument must not be"),
        "{told}"
    );
}

#[tokio::test]
async fn bad_declarations_are_named() {
    let with = |line: &str| plain("x", "https://x.example/") + line + "\n";
    let changed = |from: &str, to: &str| plain("x", "https://x.example/").replace(from, to);
    for (toml, told) in [
        (changed("name = \"x\"", "name = \"x y\""), "tools.http.name"),
        (
            changed("name = \"x\"", "name = \"calculator\""),
            "tools.http.name",
        ),
        (changed("\"GET\"", "\"FETCH\""), "tools.http.method: of x"),
        (
            changed("https://x.example/", "x.example"),
            "tools.http.url: of x",
        ),
        (
            changed("https://x.example/", "https://x/{{ b }}"),
            "tools.http.url: of x",
        ),
        (
            changed("https://x.example/", "https://x/{{"),
            "tools.http.url: of x",
        ),
        (
            changed("'{\"type\": \"object\"}'", "'{'"),
            "tools.http.parameters: of x",
        ),
        (changed("\"object\"", "\"string\""), "tools.http.parameters"),
        (changed("\"object\"", "\"objekt\""), "tools.http.parameters"),
        (with("body = '{{ args'"), "tools.http.body: of x"),
        (
            with("response_pointer = \"a\""),
            "tools.http.response_pointer: of x",
        ),
        (
            with("headers = { \"a b\" = \"c\" }"),
            "tools.http.headers: of x",
        ),
        (
            with("headers = { a = { env = \"ABSENT\" } }"),
            "tools.http.headers: of x: the variable ABSENT is not set",
        ),
        (
            with("forward_headers = [\"a b\"]"),
            "tools.http.forward_headers: of x",
        ),
        (with("colour = \"red\""), "colour"),
    ] {
        let stderr = refused(&toml).await;
        assert!(stderr.contains(told), "{toml}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let toml = plain("x", "https://x.example/")
        + "headers = { authorization = { env = \"TOKEN\" }, x-key = \"s3cret-b\" }\n";
    std::fs::write(folder.path().join("talkgraph.toml"), toml).unwrap();
    let mut command = program(folder.path(), &["config"], &[]);
    command.env("TOKEN", "s3cret-a");
    let shown = run(command).await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stdout.contains("s3cret"), "{}", shown.stdout);
    assert!(shown.stdout.contains("(hidden)"), "{}", shown.stdout);
}
