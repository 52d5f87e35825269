//! Streams of responses in one response body, common to Server-Sent Events and multipart.

use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::Value;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::Server;
use super::admit::{Kind, Operation};
use super::content_negotiation::MediaType;
use super::error::Refusal;
use super::frames::{Ending, Event, Format, StreamTimeouts, frames};
use super::http1::OpenEnded;
use super::request_id::RequestId;
use super::respond::{self, begin_stream};
use crate::auth::Grant;
use crate::graphql::{Progress, ResumeAfter};

const LAST_EVENT_ID: &str = "last-event-id";

/// Executes an operation and streams its responses to `who`.
pub(super) fn respond(
    server: &Arc<Server>,
    format: &'static Format,
    mut operation: Operation,
    who: &Grant,
    headers: &HeaderMap,
    id: RequestId,
) -> Result<Response, Refusal> {
    let progress = Progress::default();
    // The response of a query or mutation completes soon.
    let is_open_ended = operation.kind.is_subscription();
    if let Some(resume) = resume(headers, operation.kind)? {
        operation.request = operation.request.data(resume);
    }
    operation.request = operation.request.data(progress.clone());
    let limit = server.transport.streams_total;
    if server.streams.event_streams() >= limit {
        return Err(Refusal::TooManyStreamsInAll { limit });
    }
    let limit = server.transport.streams;
    let place = server.streams.stream_of(&who.principal, limit);
    let place = place.ok_or(Refusal::TooManyStreams { limit })?;
    let responses = match begin_stream(server, operation, id.clone()) {
        Ok(responses) => responses,
        Err(refused) => return respond::write(&refused, MediaType::GraphqlResponse, None),
    };
    let events = responses.map(move |response| Event {
        // A request that failed as a whole can be retried from the same position.
        id: progress.take().filter(|_| response.data != Value::Null),
        response,
    });
    let timeouts = StreamTimeouts {
        keep_alive: server.transport.keep_alive,
        unread: server.transport.stream_stall_timeout,
    };
    let ending = Ending {
        stopping: server.stopping.clone(),
        removed: who.removed.clone(),
    };
    let held = server.in_flight.hold(Arc::clone(&who.principal.tenant));
    let frames = frames(format, events, timeouts, ending, held, id);
    // Released when the client has read everything or disconnected.
    let body = frames.map(move |frame| {
        let _place = &place;
        Ok::<_, Infallible>(frame)
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(format.media_type.as_str()),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies such as nginx would otherwise buffer events.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let mut response = (headers, Body::from_stream(body)).into_response();
    if is_open_ended {
        response.extensions_mut().insert(OpenEnded);
    }
    Ok(response)
}

/// Returns the position from which a reconnecting client resumes. Browsers send the header
/// automatically when they reconnect, so it must never repeat an effect.
fn resume(headers: &HeaderMap, kind: Kind) -> Result<Option<ResumeAfter>, Refusal> {
    // Browsers send an empty one for a stream whose last id was empty.
    let value = headers.get(LAST_EVENT_ID);
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match kind {
        Kind::Query | Kind::Mutation => Ok(None),
        Kind::Start => Err(Refusal::NotResumable),
        Kind::Follow => {
            let sequence = value.to_str().ok().and_then(|value| value.parse().ok());
            let sequence = sequence.ok_or_else(|| {
                Refusal::BadRequest(
                    "the header Last-Event-ID must be the `sequence` of an event".to_owned(),
                )
            })?;
            Ok(Some(ResumeAfter(sequence)))
        }
    }
}
