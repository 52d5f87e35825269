//! GraphQL over Server-Sent Events, in the graphql-sse protocol's distinct connections mode:
//! one request, one stream of `next` events, then `complete`.

use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::Response as GraphqlResponse;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::Server;
use super::accept::MediaType;
use super::admit::Operation;
use super::error::Refusal;
use super::request_id::RequestId;
use super::respond::{begin_stream, write as write_response};

/// How many events go out in one write when they are ready together.
const BURST: usize = 64;

/// Tells the client at once that it is connected.
const HELLO: &[u8] = b":\n\n";
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

pub(super) fn respond(
    server: &Arc<Server>,
    operation: Operation,
    _headers: &HeaderMap,
    id: RequestId,
) -> Result<Response, Refusal> {
    let events = match begin_stream(server, operation, id) {
        Ok(events) => events.ready_chunks(BURST),
        Err(refused) => return Ok(write_response(&refused, MediaType::GraphqlResponse)),
    };
    let keep_alive = server.transport.keep_alive;
    let stopping = server.stopping.clone();
    let body = async_stream::stream! {
        yield Ok::<_, Infallible>(Bytes::from_static(HELLO));
        let mut events = events;
        loop {
            tokio::select! {
                biased;
                ready = events.next() => match ready {
                    Some(responses) => yield Ok(write(&responses)),
                    None => break,
                },
                // The client resumes elsewhere from its last sequence.
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(keep_alive) => yield Ok(Bytes::from_static(HELLO)),
            }
        }
        yield Ok(Bytes::from_static(COMPLETE));
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(MediaType::EventStream.as_str()),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies such as nginx would otherwise hold events back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn write(responses: &[GraphqlResponse]) -> Bytes {
    let mut buffer = Vec::with_capacity(256 * responses.len());
    for response in responses {
        buffer.extend_from_slice(b"event: next\ndata: ");
        // JSON escapes line breaks, so the data is one line.
        if let Err(error) = serde_json::to_writer(&mut buffer, response) {
            tracing::error!(%error, "a response could not be written");
        }
        buffer.extend_from_slice(b"\n\n");
    }
    buffer.into()
}
