//! The differences between the APIs of vendors.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::Serialize;

use super::parts::{Parts, ReadError};
use super::signed_reasoning::Bindings;
use super::sse::SseEvent;
use super::wire::body_bytes;
use super::{ChatRequest, LlmError};

/// The requests of a vendor's API.
pub(super) trait Protocol: Send + Sync {
    /// The URL of a call.
    fn url(&self, base: &Url, model: &str) -> Url;

    /// The call's body.
    fn body(&self, request: &ChatRequest) -> Result<Asked, LlmError>;

    /// Adds the headers of every call, the key included.
    fn headers(&self, headers: &mut HeaderMap, key: Option<&str>)
    -> Result<(), InvalidHeaderValue>;

    /// Creates the decoder of one answer.
    fn decoder(&self) -> Box<dyn Decode>;
}

/// A call's body, and the binding of its signatures.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// JSON.
    pub(super) json: Vec<u8>,
    /// The binding of signatures in the answer.
    pub(super) bindings: Bindings,
}

impl Asked {
    /// Serialises a body, with the fields that the request adds to it.
    pub(super) fn new(
        body: &impl Serialize,
        request: &ChatRequest,
        bindings: Bindings,
    ) -> Result<Self, LlmError> {
        let json = body_bytes(body, &request.extra_body)?;
        Ok(Self { json, bindings })
    }
}

/// The answers of a vendor's API.
pub(super) trait Decode: Send {
    /// Reads an event of a stream.
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError>;

    /// Decodes an answer in one piece, as some proxies send it although a stream was requested.
    fn whole(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError>;
}

/// A header value that is excluded from debug output, and from HTTP/2's compression table.
pub(super) fn secret_header(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds the key, if there is one, in OpenAI's form (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &mut HeaderMap, key: Option<&str>) -> Result<(), InvalidHeaderValue> {
    if let Some(key) = key {
        headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {key}"))?);
    }
    Ok(())
}

/// The base with more path segments. A query is kept.
pub(super) fn extended<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // A URL that cannot have segments is refused when the provider is created.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
