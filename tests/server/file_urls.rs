//! Files that a client names by their URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::pages::Pages;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{ended_run, string};

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } run { id status } message { id } userMessage { id parts { __typename
      ... on FilePart { name mimeType bytes data } } } } }";

/// The first bytes of a PNG file, which tell what it is.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x12";

fn setup(hosts: &[&str]) -> Setup {
    Setup::new().file(&format!("[tools.egress]\nports = []\nallow = {hosts:?}\n"))
}

fn input(files: &Value) -> Value {
    json!({ "input": { "message": { "text": "See", "files": files } } })
}

async fn ask(client: &Client, files: &Value) -> Value {
    client.data(CHAT, &input(files)).await["chat"].take()
}

/// The field and the message of the error.
async fn refused(client: &Client, files: &Value) -> (String, String) {
    let error = client.error(CHAT, &input(files)).await;
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    (
        string(&error["extensions"]["field"]),
        string(&error["message"]),
    )
}

pub(crate) async fn a_file_is_fetched_once(db: Arc<Database>) {
    let fetched = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetched);
    let image = get(move || async move {
        // Another content each time that somebody asks.
        let number = u8::try_from(counted.fetch_add(1, Ordering::Relaxed)).unwrap();
        [PNG, &[number]].concat()
    });
    let moved = get(|| async { Redirect::temporary("/cat") });
    let routes = Router::new().route("/cat", image).route("/moved", moved);
    let pages = Pages::serve(routes).await;
    let server = setup(&["127.0.0.1"]).on(&db).start().await;
    let client = server.client();
    let mut asked = input(
        &json!([{ "name": "cat.png", "url": pages.url("/moved?a=b") },
        { "data": "SGVsbG8=" }]),
    );
    asked["input"]["idempotencyKey"] = "k".into();
    let said = client.data(CHAT, &asked).await["chat"].take();
    assert_eq!(said["run"]["status"], "COMPLETED", "{said}");
    let data = STANDARD.encode([PNG, &[0]].concat());
    let part = json!({ "__typename": "FilePart", "name": "cat.png", "mimeType": "image/png",
        "bytes": PNG.len() + 1, "data": data });
    assert_eq!(said["userMessage"]["parts"][1], part);
    assert_eq!(said["userMessage"]["parts"][2]["mimeType"], "text/plain");
    let shown = json!({ "type": "image_url",
        "image_url": { "url": format!("data:image/png;base64,{data}") } });
    let sent =
        |call: usize| server.upstream.received()[call].body["messages"][1]["content"].clone();
    assert_eq!(sent(0)[1], shown);
    // The key stands for the URL, and whoever answers again is shown what was there then.
    let again = client.data(CHAT, &asked).await["chat"].take();
    assert_eq!(again["run"]["id"], said["run"]["id"]);
    asked["input"]["message"]["files"][0]["url"] = pages.url("/cat").into();
    let other = client.error(CHAT, &asked).await;
    assert_eq!(other["extensions"]["code"], "CONFLICT");
    let document = "mutation($id: ID!) { regenerate(input: { messageId: $id }) { run { id } } }";
    let made = client
        .data(document, &json!({ "id": said["message"]["id"] }))
        .await;
    ended_run(&client, &string(&made["regenerate"]["run"]["id"])).await;
    assert_eq!(sent(1)[1], shown);
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
    // Whoever says it differently may name another.
    let document = "mutation($id: ID!, $url: String!) { editMessage(input: { messageId: $id,
        message: { text: \"See\", files: [{ url: $url }] } }) { run { id } } }";
    let variables = json!({ "id": said["userMessage"]["id"], "url": pages.url("/cat") });
    let made = client.data(document, &variables).await;
    ended_run(&client, &string(&made["editMessage"]["run"]["id"])).await;
    assert_eq!(fetched.load(Ordering::Relaxed), 2);
    assert_ne!(sent(2)[1], shown);
}

/// What its server says counts where the content agrees.
#[tokio::test]
async fn a_fetched_file_is_what_its_content_is() {
    let typed = |kind: &'static str, content: &'static [u8]| {
        get(move || async move { ([(CONTENT_TYPE, kind)], content) })
    };
    let routes = Router::new()
        .route("/notes", typed("text/Markdown; charset=utf-8", b"# Notes"))
        .route("/wrong", typed("text/html", PNG))
        .route("/odd", typed("nonsense", b"words"));
    let pages = Pages::serve(routes).await;
    let server = setup(&["127.0.0.1"]).start().await;
    let client = server.client();
    for (path, found) in [
        ("/notes", "text/markdown"),
        ("/wrong", "image/png"),
        ("/odd", "text/plain"),
    ] {
        let said = ask(&client, &json!([{ "url": pages.url(path) }])).await;
        let part = &said["userMessage"]["parts"][1];
        assert_eq!(part["mimeType"], found, "{said}");
    }
    let claims = json!([{ "url": pages.url("/notes") },
        { "url": pages.url("/wrong"), "mimeType": "image/jpeg" }]);
    let (field, why) = refused(&client, &claims).await;
    assert_eq!(field, "input.message.files.1.mimeType");
    assert!(why.contains("image/png"), "{why}");
}

fn hostile() -> Router {
    let large = get(|| async { "x".repeat(1_001) });
    let endless = get(|| async {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(100)));
        Body::from_stream(pieces)
    });
    // 64 bytes that become 100,000.
    let bomb =
        get(|| async {
            let mut packed = Vec::new();
            let mut encoder = async_compression::tokio::bufread::GzipEncoder::new(
                std::io::Cursor::new(vec![0; 100_000]),
            );
            tokio::io::AsyncReadExt::read_to_end(&mut encoder, &mut packed)
                .await
                .unwrap();
            ([(CONTENT_ENCODING, "gzip")], packed).into_response()
        });
    let away = get(|| async { Redirect::temporary("http://169.254.169.254/latest") });
    Router::new()
        .route("/large", large)
        .route("/endless", endless)
        .route("/bomb", bomb)
        .route("/away", away)
        .route("/empty", get(|| async { "" }))
        .route("/gone", get(|| async { StatusCode::NOT_FOUND }))
        .route("/unknown", get(|| async { b"\x00\x01\x02".as_slice() }))
        .route(
            "/zip",
            get(|| async { b"PK\x03\x04\n\0\0\0\0\0\0\0".as_slice() }),
        )
}

#[tokio::test]
async fn what_cannot_be_fetched_starts_nothing() {
    let pages = Pages::serve(hostile()).await;
    let server = setup(&["127.0.0.1"])
        .set("limits.file_bytes", 1_000)
        .start()
        .await;
    let client = server.client();
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    for (url, field, why) in [
        (pages.url("/large"), ".url", "more than 1000 bytes"),
        (pages.url("/endless"), ".url", "more than 1000 bytes"),
        (pages.url("/bomb"), ".url", "more than 1000 bytes"),
        (pages.url("/empty"), ".url", "empty"),
        (pages.url("/gone"), ".url", "HTTP status 404"),
        (
            pages.url("/away"),
            ".url",
            "169.254.169.254 is not on the public internet",
        ),
        (pages.url("/unknown"), ".mimeType", "give `mimeType`"),
        (pages.url("/zip"), "", "takes files of type application/zip"),
        (dead, ".url", "no connection could be made"),
        (
            "http://10.0.0.1/".to_owned(),
            ".url",
            "not on the public internet",
        ),
        (
            "file:///etc/passwd".to_owned(),
            ".url",
            "only http and https",
        ),
        ("https://a:b@example.com/".to_owned(), ".url", "user name"),
        ("cat.png".to_owned(), ".url", "invalid URL"),
        (
            format!("https://example.com/{}", "a".repeat(9_000)),
            ".url",
            "at most 8192",
        ),
    ] {
        let files = json!([{ "data": "SGVsbG8=" }, { "url": url }]);
        let (found, told) = refused(&client, &files).await;
        assert_eq!(
            found,
            format!("input.message.files.1{field}"),
            "{url}: {told}"
        );
        assert!(told.contains(why), "{url}: {told}");
    }
    for file in [
        json!({}),
        json!({ "data": "SGVsbG8=", "url": pages.url("/empty") }),
    ] {
        let (field, why) = refused(&client, &json!([file])).await;
        assert_eq!(field, "input.message.files.0");
        assert!(why.contains("either `data` or `url`"), "{why}");
    }
    let document = "{ sessions { nodes { id } } }";
    let data = client.data(document, &json!({})).await;
    assert_eq!(data["sessions"]["nodes"], json!([]));
    assert_eq!(server.upstream.received().len(), 0);
}

#[tokio::test]
async fn this_machine_is_no_place_for_files() {
    let pages = Pages::serve(hostile()).await;
    let server = setup(&[]).start().await;
    let port = pages.address.port();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/large");
        let (field, why) = refused(&server.client(), &json!([{ "url": url }])).await;
        assert_eq!(field, "input.message.files.0.url");
        assert!(why.contains("not on the public internet"), "{host}: {why}");
    }
    assert_eq!(pages.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn a_slow_server_has_its_time() {
    let slow = get(|| async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        "late"
    });
    let pages = Pages::serve(Router::new().route("/", slow)).await;
    let files = json!([{ "url": pages.url("/") }]);
    let server: TestServer = setup(&["127.0.0.1"])
        .set("limits.file_url_timeout_ms", 200)
        .start()
        .await;
    let (field, why) = refused(&server.client(), &files).await;
    assert_eq!(field, "input.message.files.0.url");
    assert!(why.contains("longer than 0.2 s"), "{why}");
    // Who wants none of it says so.
    let server = setup(&["127.0.0.1"])
        .set("limits.file_url_timeout_ms", 0)
        .start()
        .await;
    let (_, why) = refused(&server.client(), &files).await;
    assert!(why.contains("fetches no files"), "{why}");
    assert_eq!(pages.seen().len(), 1);
}
