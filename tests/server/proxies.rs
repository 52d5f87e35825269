//! The environment's proxies: what goes through them, what does not, and the guard behind them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::{Html, Redirect};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::pages::Pages;
use crate::support::process::{Process, program, run};
use crate::support::talk::chat;
use crate::support::upstream::{Script, Upstream};
use crate::tools::{call, failure, output};

/// A proxy that tunnels, on a real socket.
struct TunnelProxy {
    url: String,
    /// The head of each request.
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl TunnelProxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://me:pass%20word@{}", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                tunnels.spawn(tunnel(client, Arc::clone(&seen)));
            }
        });
        Self {
            url,
            heads,
            _tasks: tasks,
        }
    }

    /// The first lines of the requests so far.
    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let lines = heads
            .iter()
            .map(|head| head.lines().next().unwrap_or_default());
        lines.map(str::to_owned).collect()
    }
}

async fn tunnel(mut client: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let Ok(mut server) = TcpStream::connect(target).await else {
        let _ = client.write_all(b"HTTP/1.1 502 No\r\n\r\n").await;
        return;
    };
    if client.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

fn pages() -> Router {
    Router::new()
        .route("/", get(|| async { Html("<p>Hello from the page</p>") }))
        .route("/moved", get(|| async { Redirect::temporary("/") }))
        .route(
            "/inside",
            get(|| async { Redirect::temporary("http://169.254.169.254/latest/") }),
        )
}

/// A server whose tools may reach these hosts, with variables in its environment.
async fn serve(folder: &std::path::Path, egress: &str, variables: &[(&str, &str)]) -> Process {
    let settings = format!("[tools.egress]\nports = []\n{egress}\n");
    std::fs::write(folder.join("talkgraph.toml"), settings).unwrap();
    let mut command = program(folder, &[], &[]);
    command.envs(variables.iter().copied());
    Process::serve(command).await
}

#[tokio::test]
async fn a_tool_asks_a_proxy_for_the_address_that_was_judged() {
    let (page, proxy) = (Pages::serve(pages()).await, TunnelProxy::start().await);
    let folder = tempfile::tempdir().unwrap();
    let variables = [("HTTP_PROXY", proxy.url.as_str())];
    let server = serve(folder.path(), "allow = [\"localhost\"]", &variables).await;
    let client = server.client();
    let port = page.address.port();

    let url = format!("http://localhost:{port}/moved");
    let text = output(&client, "http_fetch", json!({ "url": url })).await;
    assert!(text.contains("Hello from the page"), "{text}");
    assert!(
        text.contains(&format!("URL: http://localhost:{port}/\n")),
        "{text}"
    );
    let asked = proxy.asked();
    let judged = format!("CONNECT 127.0.0.1:{port} HTTP/1.1");
    assert!(asked.contains(&judged), "{asked:?}");
    assert!(
        !asked.iter().any(|line| line.contains("localhost")),
        "{asked:?}"
    );
    let head = proxy.heads.lock().unwrap()[0].to_lowercase();
    assert!(
        head.contains("proxy-authorization: basic bwu6cgfzcyb3b3jk"),
        "{head}"
    );
}

#[tokio::test]
async fn the_guard_is_in_force_in_front_of_a_proxy() {
    let (page, proxy) = (Pages::serve(pages()).await, TunnelProxy::start().await);
    let port = page.address.port();
    let folder = tempfile::tempdir().unwrap();
    for how in ["address", "name"] {
        let variables = [("http_proxy", &*proxy.url), ("https_proxy", &*proxy.url)];
        let egress = format!("proxy = \"{how}\"");
        let server = serve(folder.path(), &egress, &variables).await;
        for url in [
            format!("http://127.0.0.1:{port}/"),
            format!("http://localhost:{port}/"),
            format!("https://localhost:{port}/"),
            format!("http://[::1]:{port}/"),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "http://0x7f000001/".to_owned(),
        ] {
            let failed = failure(&server.client(), "http_fetch", json!({ "url": url })).await;
            assert!(
                failed.contains("not on the public internet"),
                "{how} {url}: {failed}"
            );
        }
    }
    assert_eq!(
        proxy.asked(),
        [""; 0],
        "the proxy hears of nothing that is refused"
    );

    // A redirect is judged as well.
    let variables = [("HTTP_PROXY", proxy.url.as_str())];
    let server = serve(folder.path(), "allow = [\"127.0.0.1\"]", &variables).await;
    let url = format!("http://127.0.0.1:{port}/inside");
    let failed = failure(&server.client(), "http_fetch", json!({ "url": url })).await;
    assert!(
        failed.contains("169.254.169.254 is not on the public internet"),
        "{failed}"
    );
    assert_eq!(
        proxy.asked(),
        [format!("CONNECT 127.0.0.1:{port} HTTP/1.1")]
    );
}

#[tokio::test]
async fn settings_and_exceptions_decide_about_the_proxy_of_tools() {
    let (page, proxy) = (Pages::serve(pages()).await, TunnelProxy::start().await);
    let port = page.address.port();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://localhost:{port}/");
    for (egress, no_proxy, expected) in [
        ("proxy = \"off\"", "", vec![]),
        ("", "*", vec![]),
        ("", "localhost", vec![]),
        (
            "proxy = \"name\"",
            "10.0.0.0/8",
            vec![format!("CONNECT localhost:{port} HTTP/1.1")],
        ),
    ] {
        proxy.heads.lock().unwrap().clear();
        let egress = format!("allow = [\"localhost\"]\n{egress}");
        let variables = [("HTTP_PROXY", &*proxy.url), ("NO_PROXY", no_proxy)];
        let server = serve(folder.path(), &egress, &variables).await;
        let text = output(&server.client(), "http_fetch", json!({ "url": url })).await;
        assert!(text.contains("Hello from the page"), "{egress}: {text}");
        assert_eq!(proxy.asked(), expected, "{egress} {no_proxy}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_away_is_an_error_of_the_tool() {
    let page = Pages::serve(pages()).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [("HTTP_PROXY", "http://127.0.0.1:9")];
    let server = serve(folder.path(), "allow = [\"127.0.0.1\"]", &variables).await;
    let called = call(
        &server.client(),
        "http_fetch",
        json!({ "url": page.url("/") }),
    )
    .await;
    let called = called.to_string();
    assert!(called.contains("no connection could be made"), "{called}");
}

#[tokio::test]
async fn no_proxy_is_obeyed_for_providers() {
    let proxy = Upstream::answering(|_| Script::tokens(["Through the proxy."])).await;
    let proxy_url = proxy.base_url().replace("/v1", "");
    let provider = Upstream::answering(|_| Script::tokens(["Directly."])).await;
    let base_url = provider.base_url();
    for (settings, no_proxy, text) in [
        (vec![], "", "Through the proxy."),
        (vec![], "*", "Directly."),
        (vec![], "127.0.0.0/8", "Directly."),
        (vec![], "example.com, 127.0.0.1", "Directly."),
        (vec![], "127.0.0.1:1", "Through the proxy."),
        (vec![("models.proxy_from_env", "false")], "", "Directly."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![("models.openai.base_url", base_url.as_str())];
        all.extend(settings);
        let mut command = program(folder.path(), &[], &all);
        command
            .env("http_proxy", &proxy_url)
            .env("NO_PROXY", no_proxy);
        let server = Process::serve(command).await;
        let answer = chat(&server.client(), None, "Hello").await;
        assert_eq!(answer["message"]["text"], text, "{no_proxy}: {answer}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), &[], &[]);
    command.env("ALL_PROXY", "socks5://me:canary-secret@127.0.0.1:1");
    let refused = run(command).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("ALL_PROXY"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_file_by_its_url_goes_through_the_proxy() {
    const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) { userMessage { parts {
        ... on FilePart { name mimeType } } } } }";
    let text = Router::new().route("/notes.txt", get(|| async { "Some notes." }));
    let (page, proxy) = (Pages::serve(text).await, TunnelProxy::start().await);
    let folder = tempfile::tempdir().unwrap();
    let variables = [("HTTP_PROXY", proxy.url.as_str())];
    let server = serve(folder.path(), "allow = [\"127.0.0.1\"]", &variables).await;
    let file =
        json!({ "name": "notes.txt", "mimeType": "text/plain", "url": page.url("/notes.txt") });
    let input = json!({ "input": { "message": { "text": "See", "files": [file] } } });
    let answer: Value = server.client().data(CHAT, &input).await;
    assert!(answer.to_string().contains("text/plain"), "{answer}");
    let port = page.address.port();
    assert!(
        proxy
            .asked()
            .contains(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1"))
    );
}
