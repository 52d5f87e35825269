//! Whatever bytes a client sends, in whichever way, the endpoint answers: with a status that
//! is not the server's fault, and in bounded size.
//!
//!     cargo +nightly fuzz run endpoint fuzz/corpus/endpoint fuzz/seeds/endpoint

#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use libfuzzer_sys::{Corpus, fuzz_target};
use talkgraph::app::App;
use talkgraph::config::{Settings, Sources};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// The most bytes of an answer: the schema, asked for in every way that the limits allow.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Runs end at once, because no provider listens; so everything does.
const PATIENCE: Duration = Duration::from_secs(20);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((way, bytes)) = input.split_first() else {
        return Corpus::Reject;
    };
    let Some(request) = request(*way, bytes) else {
        return Corpus::Reject;
    };
    let (runtime, router) = server();
    runtime.block_on(async {
        let answered = tokio::time::timeout(PATIENCE, answer(router.clone(), request));
        answered.await.expect("no answer");
    });
    Corpus::Keep
});

async fn answer(router: Router, request: Request<Body>) {
    let response = router.oneshot(request).await.expect("an answer");
    let status = response.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect();
    let body = body.await.expect("a bounded body").to_bytes();
    let fault = b"INTERNAL_SERVER_ERROR";
    assert!(!body.windows(fault.len()).any(|part| part == fault));
}

fn request(way: u8, bytes: &[u8]) -> Option<Request<Body>> {
    let accept = match way % 4 {
        0 => "application/json",
        1 => "application/graphql-response+json",
        2 => "text/event-stream",
        _ => "multipart/mixed;subscriptionSpec=1.0",
    };
    let request = Request::builder().header("accept", accept);
    let (request, body) = match way / 4 % 3 {
        // The bytes as they are.
        0 => (request.method(Method::POST).uri("/graphql"), bytes.to_vec()),
        // The bytes as a document.
        1 => {
            let document = std::str::from_utf8(bytes).ok()?;
            let body = serde_json::json!({ "query": document })
                .to_string()
                .into_bytes();
            (request.method(Method::POST).uri("/graphql"), body)
        }
        _ => {
            let query = std::str::from_utf8(bytes).ok()?;
            (request.uri(format!("/graphql?{query}")), Vec::new())
        }
    };
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body)).ok()
}

fn server() -> &'static (Runtime, Router) {
    static SERVER: OnceLock<(Runtime, Router)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder").keep();
        let agents = concat!(env!("CARGO_MANIFEST_DIR"), "/../agents");
        let store = format!("sqlite://{}", folder.join("fuzz.db").display());
        // This program is a fuzzer; its neighbour is a worker.
        let this = std::env::current_exe().expect("this program");
        let worker = this.with_file_name("evaluate").display().to_string();
        let environment = [
            ("TALKGRAPH_EVALUATION__PROGRAM", &*worker),
            ("TALKGRAPH_HTTP__PORT", "0"),
            ("TALKGRAPH_STORE__URL", &store),
            ("TALKGRAPH_AGENTS__FOLDER", agents),
            (
                "TALKGRAPH_MODELS__OPENAI__BASE_URL",
                "http://127.0.0.1:9/v1",
            ),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sources = Sources {
            environment: environment.into_iter().collect(),
            ..Sources::default()
        };
        let settings = Settings::load(&sources).expect("settings");
        let app = runtime.block_on(App::start(&settings)).expect("a server");
        let router = app.router();
        // Its listener and stores live as long as the process.
        std::mem::forget(app);
        (runtime, router)
    })
}
