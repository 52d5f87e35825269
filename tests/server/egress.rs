//! What `http_fetch` reaches, what it does not, and how much of it.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::get;
use bytes::Bytes;
use serde_json::json;
use talkgraph_tools::{EgressClient, EgressLimits, EgressPolicy, Lookup, ProxyTarget, ToolError};

use crate::support::client::Client;
use crate::support::pages::Pages;
use crate::support::process::{Process, program};
use crate::support::server::{Setup, TestServer};
use crate::tools::{call, failure, output, refused};

/// Tools may reach these hosts beside the internet, at any port.
fn allowing(hosts: &[&str]) -> String {
    format!("[tools.egress]\nports = []\nallow = {hosts:?}\n")
}

async fn server(settings: &str) -> TestServer {
    Setup::new().file(settings).start().await
}

fn page() -> Router {
    let html = "<title>A page</title><h1>Hello</h1><p>It is <a href='/there'>there</a>.";
    Router::new().route("/", get(move || async move { Html(html) }))
}

async fn fetch_failure(client: &Client, url: &str) -> String {
    failure(client, "http_fetch", json!({ "url": url })).await
}

#[tokio::test]
async fn an_allowed_page_is_read() {
    let pages = Pages::serve(page()).await;
    let server = server(&allowing(&["127.0.0.1"])).await;
    let url = pages.url("/");
    let text = output(&server.client(), "http_fetch", json!({ "url": url })).await;
    let expected = format!(
        "URL: {url}\nTitle: A page\n\n# Hello\n\nIt is there ({}).",
        pages.url("/there")
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn this_machine_is_not_reached_however_it_is_written() {
    let pages = Pages::serve(page()).await;
    let port = pages.address.port();
    let server = server(&allowing(&[])).await;
    for host in [
        "127.0.0.1",
        "127.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
    ] {
        let told = fetch_failure(&server.client(), &format!("http://{host}:{port}/")).await;
        assert!(
            told.starts_with("REFUSED: ") && told.contains("public internet"),
            "{host}: {told}"
        );
    }
    for url in [
        "ftp://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("http://user:secret@127.0.0.1:{port}/"),
    ] {
        let told = fetch_failure(&server.client(), &url).await;
        assert!(
            told.starts_with("REFUSED: ") && !told.contains("secret"),
            "{url}: {told}"
        );
    }
    assert_eq!(pages.seen(), [""; 0]);
}

#[tokio::test]
async fn only_the_ports_of_the_settings_are_reached() {
    let pages = Pages::serve(page()).await;
    let server = server("[tools.egress]\nallow = [\"127.0.0.1\"]\n").await;
    let told = fetch_failure(&server.client(), &pages.url("/")).await;
    assert_eq!(
        told,
        format!("REFUSED: port {} is not allowed", pages.address.port())
    );
    assert_eq!(pages.seen(), [""; 0]);
}

#[tokio::test]
async fn a_redirect_is_checked_as_the_url_is() {
    let secret = Pages::serve_on([127, 0, 0, 2].into(), page()).await;
    let port = secret.address.port();
    let targets = [
        secret.url("/"),
        format!("http://2130706434:{port}/"),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ];
    let mut routes = page();
    for (n, target) in targets.iter().enumerate() {
        let target = target.clone();
        let redirect = get(move || async move { Redirect::temporary(&target) });
        routes = routes.route(&format!("/{n}"), redirect);
    }
    let loops = get(|| async { Redirect::permanent("/loop") });
    let back = get(|| async { Redirect::to("/") });
    let file = get(|| async { Redirect::to("file:///etc/passwd") });
    let routes = routes
        .route("/loop", loops)
        .route("/back", back)
        .route("/file", file);
    let pages = Pages::serve(routes).await;
    let server = server(&allowing(&["127.0.0.1"])).await;
    let client = server.client();
    for (n, target) in targets.iter().enumerate() {
        let told = fetch_failure(&client, &pages.url(&format!("/{n}"))).await;
        assert!(told.starts_with("REFUSED: "), "{target}: {told}");
    }
    assert_eq!(secret.seen(), [""; 0]);
    let text = output(&client, "http_fetch", json!({ "url": pages.url("/back") })).await;
    assert!(text.contains("# Hello"), "{text}");
    let told = fetch_failure(&client, &pages.url("/loop")).await;
    assert_eq!(told, "FAILED: there are more than 5 redirects");
    // To anything but the web it is not followed at all.
    let told = fetch_failure(&client, &pages.url("/file")).await;
    assert!(told.starts_with("HTTP_STATUS: "), "{told}");
}

/// Answers each question with the next of its answers.
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn new(answers: &[&[[u8; 4]]]) -> Arc<Self> {
        let answer = |answer: &&[[u8; 4]]| answer.iter().map(|&v4| v4.into()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(answer).collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Lookup for Script {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let answer = self.0.lock().unwrap().pop_front();
        answer.ok_or_else(|| io::Error::other(format!("nobody knows {host}")))
    }
}

fn client(allow: &[&str], lookup: &Arc<Script>) -> EgressClient {
    let allow: Vec<_> = allow.iter().map(|&host| host.to_owned()).collect();
    let limits = EgressLimits {
        connect_timeout: Duration::from_secs(5),
        redirects: 5,
        proxies: Arc::default(),
        proxy_target: ProxyTarget::Address,
    };
    let lookup: Arc<dyn Lookup> = Arc::<Script>::clone(lookup);
    EgressClient::new(EgressPolicy::new(&allow, &[]).unwrap(), lookup, &limits).unwrap()
}

async fn get_status(client: &EgressClient, url: &str) -> Result<u16, ToolError> {
    let response = client.get(url.parse().unwrap()).await?;
    Ok(response.status().as_u16())
}

#[tokio::test]
async fn a_name_with_a_private_address_is_not_reached() {
    let pages = Pages::serve(page()).await;
    let url = format!("http://evil.example:{}/", pages.address.port());
    for private in [
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [172, 16, 0, 1],
        [192, 168, 0, 1],
        [169, 254, 169, 254],
        [100, 64, 0, 1],
        [0, 0, 0, 0],
        [224, 0, 0, 1],
    ] {
        let lookup = Script::new(&[&[private]]);
        let refused = get_status(&client(&[], &lookup), &url).await;
        assert!(
            matches!(refused, Err(ToolError::Refused(_))),
            "{private:?}: {refused:?}"
        );
    }
    assert_eq!(pages.seen(), [""; 0]);
    // Allowed by its name, whatever its address.
    let lookup = Script::new(&[&[[127, 0, 0, 1]]]);
    let reached = get_status(&client(&["evil.example"], &lookup), &url).await;
    assert_eq!(reached.unwrap(), 200);
    // A name that nobody knows is no refusal.
    let unknown = get_status(&client(&[], &Script::new(&[])), &url).await;
    assert!(
        matches!(unknown, Err(ToolError::Unreachable { .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_are_tried() {
    let pages = Pages::serve_on([127, 0, 0, 2].into(), page()).await;
    let url = format!("http://both.example:{}/", pages.address.port());
    let lookup = Script::new(&[&[[127, 0, 0, 2], [127, 0, 0, 3]]]);
    // Nobody listens at the allowed one.
    let refused = get_status(&client(&["127.0.0.3"], &lookup), &url).await;
    assert!(
        matches!(refused, Err(ToolError::Unreachable { .. })),
        "{refused:?}"
    );
    assert_eq!(pages.seen(), [""; 0]);
}

#[tokio::test]
async fn what_is_connected_to_is_what_was_judged() {
    // The first answer may be reached, the second may not.
    let secret = Pages::serve_on([127, 0, 0, 2].into(), page()).await;
    let port = secret.address.port();
    let closing = get(|| async { ([(CONNECTION, "close")], "hello") });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap();
    let open = tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/", closing))
            .await
            .unwrap();
    });
    let lookup = Script::new(&[&[[127, 0, 0, 1]], &[[127, 0, 0, 2]]]);
    let client = client(&["127.0.0.1"], &lookup);
    let url = format!("http://rebind.example:{port}/");
    assert_eq!(get_status(&client, &url).await.unwrap(), 200);
    // One connection, one question: there is no second answer to fall for.
    assert_eq!(lookup.left(), 1);
    let refused = get_status(&client, &url).await;
    assert!(matches!(refused, Err(ToolError::Refused(_))), "{refused:?}");
    assert_eq!(secret.seen(), [""; 0]);
    open.abort();
}

#[tokio::test]
async fn a_redirect_to_a_name_with_a_private_address_is_not_followed() {
    let secret = Pages::serve_on([127, 0, 0, 2].into(), page()).await;
    let target = format!("http://inside.example:{}/", secret.address.port());
    let redirect = get(move || async move { Redirect::temporary(&target) });
    let pages = Pages::serve(Router::new().route("/", redirect)).await;
    let lookup = Script::new(&[&[[127, 0, 0, 2]]]);
    let refused = get_status(&client(&["127.0.0.1"], &lookup), &pages.url("/")).await;
    assert!(matches!(refused, Err(ToolError::Refused(_))), "{refused:?}");
    assert_eq!(secret.seen(), [""; 0]);
}

#[tokio::test]
async fn no_proxy_is_obeyed() {
    let proxy = Pages::serve(Router::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), &[], &[]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, proxy.url(""));
    }
    let server = Process::serve(command).await;
    // A network for documentation: nobody is there, so only a proxy could answer.
    let told = fetch_failure(&server.client(), "http://192.0.2.1/").await;
    assert!(told.starts_with("REFUSED: "), "{told}");
    let told = fetch_failure(&server.client(), "http://no-such-name.invalid/").await;
    assert!(told.starts_with("UNREACHABLE: "), "{told}");
    assert_eq!(proxy.seen(), [""; 0]);
}

/// Gzip of so many MiB of the letter x.
async fn bomb(mebibytes: usize) -> Vec<u8> {
    use async_compression::tokio::bufread::GzipEncoder;
    use tokio::io::AsyncReadExt;
    let plain = vec![b'x'; mebibytes << 20];
    let mut packed = Vec::new();
    GzipEncoder::new(plain.as_slice())
        .read_to_end(&mut packed)
        .await
        .unwrap();
    packed
}

#[tokio::test]
async fn sizes_are_bounded() {
    let packed = bomb(64).await;
    assert!(packed.len() < 100_000);
    let zipped = get(move || async move {
        (
            [(CONTENT_TYPE, "text/plain"), (CONTENT_ENCODING, "gzip")],
            packed,
        )
    });
    let endless = get(|| async {
        let pieces = futures_util::stream::repeat_with(|| {
            Ok::<_, io::Error>(Bytes::from_static(&[b'Q'; 1024]))
        });
        ([(CONTENT_TYPE, "text/plain")], Body::from_stream(pieces)).into_response()
    });
    let pages = Pages::serve(
        Router::new()
            .route("/zipped", zipped)
            .route("/endless", endless),
    )
    .await;
    let settings = allowing(&["127.0.0.1"])
        + "[tools.http_fetch]\nbody_bytes = 100_000\ndecoded_bytes = 200_000\n[tools]\noutput_bytes = 1_000_000\n";
    let server = server(&settings).await;
    for (path, letter, kept) in [("/zipped", "x", 200_000), ("/endless", "Q", 100_000)] {
        let called = call(
            &server.client(),
            "http_fetch",
            json!({ "url": pages.url(path) }),
        )
        .await;
        assert_eq!(called["output"]["truncated"], true, "{path}");
        let text = called["output"]["text"].as_str().unwrap();
        assert!(text.contains("only the beginning"), "{path}");
        assert_eq!(text.matches(letter).count(), kept, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_page_is_told() {
    let pdf = get(|| async { ([(CONTENT_TYPE, "application/pdf")], "%PDF") });
    let garbled = get(|| async {
        (
            [(CONTENT_TYPE, "text/plain"), (CONTENT_ENCODING, "gzip")],
            "garbled",
        )
    });
    let slow = get(|| async { std::future::pending::<&str>().await });
    let routes = Router::new()
        .route("/pdf", pdf)
        .route("/garbled", garbled)
        .route("/slow", slow);
    let pages = Pages::serve(routes).await;
    let settings = allowing(&["127.0.0.1"]) + "[tools]\ntimeout_ms = 300\n";
    let server = server(&settings).await;
    for (path, told) in [
        (
            "/pdf",
            "FAILED: this is \"application/pdf\", which cannot be read as text",
        ),
        (
            "/garbled",
            "FAILED: the response's body cannot be decompressed",
        ),
        (
            "/none",
            "HTTP_STATUS: the server responded with HTTP status 404",
        ),
        ("/slow", "TIMED_OUT: the call took longer than 0.3 s"),
    ] {
        assert_eq!(
            fetch_failure(&server.client(), &pages.url(path)).await,
            told
        );
    }
    assert!(
        fetch_failure(&server.client(), "not a url")
            .await
            .starts_with("FAILED: this is no URL")
    );
}

#[tokio::test]
async fn a_wrong_allow_list_stops_the_start() {
    let stderr = refused("[tools.egress]\nallow = [\"10.0.0.0/99\"]\n").await;
    assert!(
        stderr.contains("tools.egress.allow") && stderr.contains("10.0.0.0/99"),
        "{stderr}"
    );
}
