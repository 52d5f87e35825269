//! Compression of responses: br, gzip or zstd, as the client prefers.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{self, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use axum::routing::future::RouteFuture;
use futures_util::FutureExt;
use futures_util::future::{Join, Map, Ready, join, ready};
use tower::layer::{LayerFn, layer_fn};
use tower::{Layer, Service, service_fn};
use tower_http::compression::predicate::Predicate;
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// The minimum size of a compressed response; shorter ones fit a network packet.
const MIN_BYTES: u64 = 1_024;

/// Selects responses to compress; never event streams, because a compressor would delay events.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorthIt;

/// Compresses a route's responses. An uncompressed body bypasses tower-http's wrapper, which would
/// take some 6 kB for the duration of a stream.
#[derive(Clone)]
pub(super) struct Compress(Route);

/// The encodings that the client accepts: the values of `Accept-Encoding`.
type Accepted = Vec<HeaderValue>;

type Answered = Result<Response, Infallible>;

pub(super) fn layer() -> LayerFn<fn(Route) -> Compress> {
    layer_fn(Compress)
}

impl Service<Request> for Compress {
    type Response = Response;
    type Error = Infallible;
    type Future =
        Map<Join<RouteFuture<Infallible>, Ready<Accepted>>, fn((Answered, Accepted)) -> Answered>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let accepted = request.headers().get_all(header::ACCEPT_ENCODING);
        let accepted = ready(accepted.iter().cloned().collect());
        join(self.0.call(request), accepted).map(|(answered, accepted)| {
            answered.map(|response| match WorthIt.should_compress(&response) {
                true => compressed(response, accepted),
                false => response,
            })
        })
    }
}

fn compressed(response: Response, accepted: Accepted) -> Response {
    let mut request = http::Request::new(());
    for value in accepted {
        request.headers_mut().append(header::ACCEPT_ENCODING, value);
    }
    let mut response = Some(response);
    let service = service_fn(move |_| ready(response.take().ok_or(())));
    let compressed = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(WorthIt)
        .layer(service)
        .call(request)
        .now_or_never();
    match compressed {
        Some(Ok(compressed)) => compressed.map(Body::new),
        // The service is called once and is always ready.
        Some(Err(())) | None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Predicate for WorthIt {
    fn should_compress<B: HttpBody>(&self, response: &http::Response<B>) -> bool {
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
