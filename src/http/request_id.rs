//! Request ids, part of each response and of the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::{Builder, Uuid};

use talkgraph_watchdog::{Task, watched};

pub(super) const HEADER: &str = "x-request-id";

/// The id of a request: the client's own if it is valid, else a new one.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// The maximum length of an id accepted from a client.
const MAX_LENGTH: usize = 64;

pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(sound);
    let id = given.unwrap_or_else(|| new().simple().to_string());
    let task = Task::of("a request", &id);
    let span = tracing::error_span!("request", request_id = id);
    let header = HeaderValue::from_str(&id);
    // Not in the span: its fields are formatted for every request, logged or not.
    let asked = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (request.method().clone(), request.uri().path().to_owned()));
    request.extensions_mut().insert(RequestId(id));
    let answered = async {
        let response = next.run(request).await;
        if let Some((method, path)) = asked {
            let status = response.status().as_u16();
            tracing::debug!(%method, path, status, "request completed");
        }
        response
    };
    let mut response = watched(task, answered.instrument(span)).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// Creates a UUIDv7 whose random bits are the keyed hash of a counter: its secrecy does not matter,
/// and system randomness costs as much as parsing the request.
fn new() -> Uuid {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 10];
    let (high, low) = random.split_at_mut(8);
    high.copy_from_slice(&KEYS.hash_one(count).to_be_bytes());
    low.copy_from_slice(&KEYS.hash_one((count, "low")).to_be_bytes()[..2]);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &random).into_uuid()
}

fn sound(value: &HeaderValue) -> Option<String> {
    let id = value.to_str().ok()?;
    let sound = (1..=MAX_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    sound.then(|| id.to_owned())
}
