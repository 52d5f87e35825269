//! Request ids: every response carries one, and the log has it too.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

pub(super) const HEADER: &str = "x-request-id";

/// The id of a request: the caller's own if it is sound, else a new one.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// The longest id that is taken over from a caller.
const MAX_LENGTH: usize = 64;

pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(sound);
    let id = given.unwrap_or_else(|| Uuid::now_v7().simple().to_string());
    let span = tracing::info_span!(
        "request",
        id = %id,
        method = %request.method(),
        path = request.uri().path(),
    );
    let header = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

fn sound(value: &HeaderValue) -> Option<String> {
    let id = value.to_str().ok()?;
    let sound = (1..=MAX_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    sound.then(|| id.to_owned())
}
