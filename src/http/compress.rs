//! Compression of responses: br, gzip or zstd, as the client prefers.

use axum::body::HttpBody;
use axum::http::{HeaderMap, Response, header};
use tower_http::compression::predicate::Predicate;
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// Shorter responses fit a network packet as they are.
const MIN_BYTES: u64 = 1_024;

/// Never event streams: a compressor would hold events back.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorthIt;

pub(super) fn layer() -> CompressionLayer<WorthIt> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(WorthIt)
}

impl Predicate for WorthIt {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        let size = response.body().size_hint();
        let is_long = size.exact().is_some_and(|bytes| bytes >= MIN_BYTES);
        is_long && is_text(response.headers())
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| {
        let essence = content_type.split(';').next().unwrap_or_default();
        essence.ends_with("json") || essence == "text/plain"
    })
}
