//! MCP servers: the official example server over both transports, and one whose tools change.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::pages::Pages;
use crate::support::server::{Setup, repository};
use crate::support::wait::eventually;
use crate::tools::{CALL, call, failure, output, refused};

pub(crate) const EVERYTHING: &str =
    "tests/mcp/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
const GROWING: &str = "tests/mcp/growing.mjs";

/// A program of `tests/mcp`, whose packages must be installed.
pub(crate) fn script(path: &str) -> String {
    let installed = repository(EVERYTHING);
    assert!(
        Path::new(&installed).exists(),
        "the MCP servers are not installed: (cd tests/mcp && npm ci)"
    );
    repository(path)
}

/// A server that is started, under the name of the program.
pub(crate) fn stdio(name: &str, path: &str) -> String {
    let script = script(path);
    format!("[[tools.mcp]]\nname = \"{name}\"\ncommand = \"node\"\nargs = [\"{script}\"]\n")
}

async fn names(client: &Client) -> Vec<String> {
    let data = client.data("{ tools { name } }", &json!({})).await;
    let tools = data["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn echoes(client: &Client) -> Option<()> {
    let called = call(client, "everything__echo", json!({ "message": "hi" })).await;
    (called["output"]["text"] == "Echo: hi").then_some(())
}

#[tokio::test]
async fn a_programs_tools_are_called() {
    let settings = "[tools.approval]\neverything__echo = \"args.message == 'boom'\"\n".to_owned()
        + &stdio("everything", EVERYTHING);
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    let data = client
        .data(
            "{ tools { name description approval parameters } }",
            &json!({}),
        )
        .await;
    let tools = data["tools"].as_array().unwrap();
    let echo = tools
        .iter()
        .find(|tool| tool["name"] == "everything__echo")
        .unwrap();
    assert_eq!(echo["approval"], "CONDITIONAL");
    assert_eq!(echo["parameters"]["required"], json!(["message"]));
    assert!(!echo["description"].as_str().unwrap().is_empty());
    assert_eq!(echoes(&client).await, Some(()));
    let sum = output(&client, "everything__get-sum", json!({ "a": 2, "b": 40 })).await;
    assert!(sum.contains("42"), "{sum}");
    // The arguments are checked before the server is asked.
    let input = json!({ "input": { "name": "everything__echo", "arguments": { "message": 1 } } });
    let error = client.error(CALL, &input).await;
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    let image = output(&client, "everything__get-tiny-image", json!({})).await;
    assert!(
        image.contains("[image: image/png, ") && image.len() < 1_000,
        "{image}"
    );
}

#[tokio::test]
async fn a_program_sees_nothing_of_the_servers_environment() {
    let settings = stdio("everything", EVERYTHING)
        + "env = { GREETING = \"hello\", TOKEN = { env = \"THE_TOKEN\" } }\n";
    let server = Setup::new()
        .file(&settings)
        .variable("THE_TOKEN", "s3cret")
        .start()
        .await;
    let text = output(&server.client(), "everything__get-env", json!({})).await;
    let environment: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(environment["GREETING"], "hello");
    assert_eq!(environment["TOKEN"], "s3cret");
    assert_eq!(environment["PATH"], json!(std::env::var("PATH").unwrap()));
    // Cargo gives the tests, and so this server, more than these.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert_eq!(environment.get("CARGO_MANIFEST_DIR"), None);
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let settings = stdio("everything", EVERYTHING) + "timeout_ms = 400\n";
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    let name = "everything__trigger-long-running-operation";
    let told = failure(&client, name, json!({ "duration": 600, "steps": 2 })).await;
    assert_eq!(told, "TIMED_OUT: the call took longer than 0.4 s");
    assert_eq!(echoes(&client).await, Some(()));
}

/// The reports of the example server reach the call over both transports.
#[tokio::test]
async fn progress_puts_the_end_off_over_both_transports() {
    let port = free_port().await;
    let _everything = HttpServer::start(port).await;
    let over_http =
        format!("[[tools.mcp]]\nname = \"remote\"\nurl = \"http://127.0.0.1:{port}/mcp\"\n");
    let limit = "[tools]\ntimeout_ms = 2_000\n".to_owned();
    let settings = limit + &stdio("everything", EVERYTHING) + &over_http;
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    let work = json!({ "duration": 4, "steps": 8 });
    let tool = |server: &str| format!("{server}__trigger-long-running-operation");
    let (program, remote) = (tool("everything"), tool("remote"));
    let (program, remote) = tokio::join!(
        output(&client, &program, work.clone()),
        output(&client, &remote, work.clone()),
    );
    assert!(program.contains("Duration: 4"), "{program}");
    assert!(remote.contains("Duration: 4"), "{remote}");
}

#[tokio::test]
async fn a_program_that_is_killed_is_started_again() {
    let server = Setup::new().file(&stdio("growing", GROWING)).start().await;
    let client = server.client();
    let pid = output(&client, "growing__pid", json!({})).await;
    let killed = Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    assert!(killed.success());
    let again = eventually("another process", async || {
        let called = call(&client, "growing__pid", json!({})).await;
        if called["output"].is_null() {
            assert_eq!(called["failure"]["code"], "UNREACHABLE", "{called}");
        }
        let again = called["output"]["text"].as_str()?.to_owned();
        (again != pid).then_some(again)
    })
    .await;
    // Or itself, in the middle of a call.
    let told = failure(&client, "growing__die", json!({})).await;
    assert!(told.starts_with("UNREACHABLE: "), "{told}");
    // Its tools stay listed meanwhile.
    assert!(names(&client).await.contains(&"growing__pid".to_owned()));
    let third = eventually("a third process", async || {
        let called = call(&client, "growing__pid", json!({})).await;
        called["output"]["text"].as_str().map(str::to_owned)
    })
    .await;
    assert_ne!(third, again);
    // With the server its programs end.
    server.stop().await;
    assert!(!Path::new(&format!("/proc/{third}")).exists());
}

#[tokio::test]
async fn tools_that_change_are_listed_again() {
    let server = Setup::new().file(&stdio("growing", GROWING)).start().await;
    let client = server.client();
    let before = names(&client).await;
    assert!(before.contains(&"growing__grow".to_owned()), "{before:?}");
    // Models know it by another name.
    assert!(!before.iter().any(|name| name.contains(' ')), "{before:?}");
    let spaced = "growing__a_name_with_spaces";
    assert_eq!(output(&client, spaced, json!({})).await, "spaced");
    assert!(!before.contains(&"growing__grown".to_owned()));
    assert_eq!(output(&client, "growing__grow", json!({})).await, "grown");
    eventually("the new tool", async || {
        names(&client)
            .await
            .contains(&"growing__grown".to_owned())
            .then_some(())
    })
    .await;
    assert_eq!(
        output(&client, "growing__grown", json!({})).await,
        "here I am"
    );
}

#[tokio::test]
async fn answers_are_flattened_to_text() {
    let server = Setup::new().file(&stdio("growing", GROWING)).start().await;
    let client = server.client();
    assert_eq!(
        output(&client, "growing__mixed", json!({})).await,
        "words\n\n[image: application/octet-stream, 300 bytes]\n\n\
         [audio: audio/wav, 30 bytes]\n\n[resource: file:///a.txt]\ninside\n\n\
         [resource: b (file:///b.txt)]"
    );
    assert_eq!(
        failure(&client, "growing__fail", json!({})).await,
        "FAILED: no luck"
    );
}

/// The example server over streamable HTTP. Killed when it is dropped.
pub(crate) struct HttpServer(Child);

impl HttpServer {
    pub(crate) async fn start(port: u16) -> Self {
        let child = Command::new("node")
            .args([&script(EVERYTHING), "streamableHttp"])
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the MCP server", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
        })
        .await;
        Self(child)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    listener.local_addr().unwrap().port()
}

/// Hands everything on to a port, and notes the headers.
async fn proxy(port: u16) -> (Pages, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let http = crate::support::client::http();
    let hand_on = async move |request: Request| {
        let (parts, body) = request.into_parts();
        noted.lock().unwrap().push(parts.headers.clone());
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let url = format!("http://127.0.0.1:{port}{}", parts.uri);
        let sent = http
            .request(parts.method, url)
            .headers(parts.headers)
            .body(body);
        let answer = sent.send().await.unwrap();
        let mut response = Response::builder().status(answer.status());
        *response.headers_mut().unwrap() = answer.headers().clone();
        response
            .body(Body::from_stream(answer.bytes_stream()))
            .unwrap()
    };
    (Pages::serve(Router::new().fallback(hand_on)).await, seen)
}

#[tokio::test]
async fn a_server_over_http_is_called_with_the_callers_headers() {
    let port = free_port().await;
    let _everything = HttpServer::start(port).await;
    let (proxy, seen) = proxy(port).await;
    let settings = format!(
        "[[tools.mcp]]\nname = \"everything\"\nurl = \"{}\"\nheaders = {{ x-shop = \"acme\" }}\n\
         forward_headers = [\"x-customer\"]\n",
        proxy.url("/mcp")
    );
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    assert_eq!(echoes(&client).await, Some(()));
    let arguments = json!({ "message": "mine" });
    let input = json!({ "input": { "name": "everything__echo", "arguments": arguments } });
    let request = client
        .post(CALL, &input)
        .header("x-customer", "42")
        .header("x-other", "43");
    let (_, answer) = body(request).await;
    assert_eq!(
        answer["data"]["callTool"]["output"]["text"], "Echo: mine",
        "{answer}"
    );
    let seen = seen.lock().unwrap().clone();
    assert!(seen.iter().all(|headers| headers["x-shop"] == "acme"));
    let with_customer = seen
        .iter()
        .filter(|headers| headers.contains_key("x-customer"));
    assert_eq!(
        with_customer
            .map(|headers| &headers["x-customer"])
            .collect::<Vec<_>>(),
        ["42"]
    );
    assert!(!seen.iter().any(|headers| headers.contains_key("x-other")));
}

#[tokio::test]
async fn a_server_over_http_is_found_again() {
    let port = free_port().await;
    let everything = HttpServer::start(port).await;
    let settings = format!(
        "[tools]\ntimeout_ms = 5_000\nmcp_restart_delay_ms = 500\n\
         [[tools.mcp]]\nname = \"everything\"\nurl = \"http://127.0.0.1:{port}/mcp\"\n"
    );
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    assert_eq!(echoes(&client).await, Some(()));
    drop(everything);
    let told = failure(&client, "everything__echo", json!({ "message": "hi" })).await;
    assert!(told.starts_with("UNREACHABLE: "), "{told}");
    let _everything = HttpServer::start(port).await;
    eventually("the server again", async || echoes(&client).await).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_does_not_stop_the_start() {
    let settings = "[[tools.mcp]]\nname = \"absent\"\ncommand = \"/no/such/program\"\n\
        [[tools.mcp]]\nname = \"nobody\"\nurl = \"http://127.0.0.1:9/mcp\"\n";
    let server = Setup::new().file(settings).start().await;
    let client = server.client();
    let names = names(&client).await;
    assert!(names.contains(&"calculator".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("__")), "{names:?}");
}

#[tokio::test]
async fn bad_servers_are_named() {
    let named = |name: &str, rest: &str| format!("[[tools.mcp]]\nname = \"{name}\"\n{rest}\n");
    let program = "command = \"node\"";
    for (toml, told) in [
        (named("a b", program), "tools.mcp.name"),
        (named("a__b", program), "tools.mcp.name"),
        (
            named("a23456789012345678901234567", program),
            "tools.mcp.name",
        ),
        (named("a", program) + &named("a", program), "tools.mcp.name"),
        (named("a", ""), "tools.mcp.command: of a"),
        (
            named("a", "command = \"node\"\nurl = \"http://x/\""),
            "tools.mcp.command: of a",
        ),
        (named("a", "url = \"x\""), "tools.mcp.url: of a"),
        (named("a", "url = \"ftp://x/\""), "tools.mcp.url: of a"),
        (
            named("a", "url = \"http://x/\"\nheaders = { \"a b\" = \"c\" }"),
            "tools.mcp.headers: of a",
        ),
        (
            named("a", "command = \"x\"\nenv = { A = { env = \"ABSENT\" } }"),
            "tools.mcp.env: of a",
        ),
        (named("a", "command = \"x\"\nshell = true"), "shell"),
        (
            "[tools.approval]\nb__c = \"never\"\n".to_owned() + &named("a", program),
            "tools.approval",
        ),
        (
            "[tools]\nmcp_start_timeout_ms = 0\n".to_owned(),
            "tools.mcp_start_timeout_ms",
        ),
    ] {
        let stderr = refused(&toml).await;
        assert!(stderr.contains(told), "{toml}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
