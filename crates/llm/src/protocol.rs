//! What tells one vendor's API from another's.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::Serialize;

use super::parts::{Parts, ReadError};
use super::past::Bindings;
use super::sse::SseEvent;
use super::wire::body_bytes;
use super::{ChatRequest, LlmError};

/// How a vendor is asked.
pub(super) trait Protocol: Send + Sync {
    /// Where a call goes.
    fn url(&self, base: &Url, model: &str) -> Url;

    /// The call's body.
    fn body(&self, request: &ChatRequest) -> Result<Asked, LlmError>;

    /// Adds what goes with every call, the key included.
    fn headers(&self, headers: &mut HeaderMap, key: Option<&str>)
    -> Result<(), InvalidHeaderValue>;

    /// Reads one answer.
    fn decoder(&self) -> Box<dyn Decode>;
}

/// A call's body, and what it binds.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// JSON.
    pub(super) json: Vec<u8>,
    /// What signatures in the answer are bound to.
    pub(super) bindings: Bindings,
}

impl Asked {
    /// Writes a body, with the fields that the request adds to it.
    pub(super) fn new(
        body: &impl Serialize,
        request: &ChatRequest,
        bindings: Bindings,
    ) -> Result<Self, LlmError> {
        let json = body_bytes(body, &request.extra_body)?;
        Ok(Self { json, bindings })
    }
}

/// How a vendor answers.
pub(super) trait Decode: Send {
    /// Reads an event of a stream.
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError>;

    /// Reads an answer that came in one piece although a stream was asked for, as some
    /// proxies give it.
    fn whole(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError>;
}

/// A header's value that stays out of debug output, and out of HTTP/2's compression table.
pub(super) fn secret_header(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds the key, if there is one, as OpenAI has it (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &mut HeaderMap, key: Option<&str>) -> Result<(), InvalidHeaderValue> {
    if let Some(key) = key {
        headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {key}"))?);
    }
    Ok(())
}

/// The base with more segments at its end. A query is kept.
pub(super) fn extended<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // A URL that cannot have segments is refused when the provider is made.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
