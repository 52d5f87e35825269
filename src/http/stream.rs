//! Streams of responses in the body of one response: what Server-Sent Events and multipart
//! have in common.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_graphql::{Response as GraphqlResponse, Value};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::Instant;

use super::Server;
use super::accept::MediaType;
use super::admit::{Kind, Operation};
use super::error::Refusal;
use super::request_id::RequestId;
use super::respond::{self, begin_stream};
use crate::domain::Principal;
use crate::graphql::{Progress, ResumeAfter};

/// How many responses go out in one write when they are ready together.
const BURST: usize = 64;

/// As much as most events take.
const EVENT_BYTES: usize = 256;

const LAST_EVENT_ID: &str = "last-event-id";

/// How a stream is written. Whatever is written at once can be read at once.
pub(super) struct Format {
    pub(super) media_type: MediaType,
    /// Tells the client that it is connected.
    pub(super) hello: &'static [u8],
    pub(super) keep_alive: &'static [u8],
    /// Appends one response.
    pub(super) write: fn(&mut Vec<u8>, &Event) -> serde_json::Result<()>,
    /// The operation has ended.
    pub(super) end: &'static [u8],
    /// The server ends before the operation.
    pub(super) cut: &'static [u8],
}

/// One response of a stream.
pub(super) struct Event {
    /// Where a client that has it can go on, if it can.
    pub(super) id: Option<u64>,
    pub(super) response: GraphqlResponse,
}

/// Executes an operation and streams its responses to `who`.
pub(super) fn respond(
    server: &Arc<Server>,
    format: &'static Format,
    mut operation: Operation,
    who: &Principal,
    headers: &HeaderMap,
    id: RequestId,
) -> Result<Response, Refusal> {
    let progress = Progress::default();
    if let Some(resume) = resume(headers, operation.kind)? {
        operation.request = operation.request.data(resume);
    }
    operation.request = operation.request.data(progress.clone());
    let limit = server.transport.streams;
    let place = server.streams.stream_of(who, limit);
    let place = place.ok_or(Refusal::TooManyStreams { limit })?;
    let responses = match begin_stream(server, operation, id) {
        Ok(responses) => responses,
        Err(refused) => return Ok(respond::write(&refused, MediaType::GraphqlResponse)),
    };
    let events = responses.map(move |response| Event {
        // What failed as a whole can be tried again from before it.
        id: progress.take().filter(|_| response.data != Value::Null),
        response,
    });
    let mut bursts = bursts(format, events);
    let keep_alive = server.transport.keep_alive;
    let stopping = server.stopping.clone();
    let body = async_stream::stream! {
        // Given back when the client has read everything or has gone.
        let _place = place;
        yield Ok::<_, Infallible>(Bytes::from_static(format.hello));
        let mut last = Instant::now();
        let mut quiet = pin!(tokio::time::sleep(keep_alive));
        let mut stopping = pin!(stopping.cancelled());
        let end = loop {
            tokio::select! {
                biased;
                burst = bursts.next() => match burst {
                    Some(burst) => {
                        last = Instant::now();
                        yield Ok(burst);
                    }
                    None => break format.end,
                },
                () = &mut stopping => break format.cut,
                () = &mut quiet => {
                    // Moved only when it fires, which is cheaper than for every event.
                    let due = last + keep_alive;
                    if Instant::now() >= due {
                        yield Ok(Bytes::from_static(format.keep_alive));
                        last = Instant::now();
                    }
                    quiet.as_mut().reset(last + keep_alive);
                }
            }
        };
        if !end.is_empty() {
            yield Ok(Bytes::from_static(end));
        }
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(format.media_type.as_str()),
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

/// Where a reconnecting client wants to go on. Browsers send the header by themselves when
/// they reconnect, so it must never make anything happen twice.
fn resume(headers: &HeaderMap, kind: Kind) -> Result<Option<ResumeAfter>, Refusal> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
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

/// Writes what is ready together, at most [`BURST`] events. Each is written as it comes:
/// collected, they would take memory for a whole burst every time, and mostly there is one.
fn bursts(
    format: &'static Format,
    mut events: impl Stream<Item = Event> + Unpin,
) -> impl Stream<Item = Bytes> + Unpin {
    let mut is_over = false;
    stream::poll_fn(move |context| {
        let mut buffer = Vec::new();
        for _ in 0..BURST {
            if is_over {
                break;
            }
            match events.poll_next_unpin(context) {
                Poll::Ready(Some(event)) => write(format, &mut buffer, &event),
                Poll::Ready(None) => is_over = true,
                Poll::Pending if buffer.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if buffer.is_empty() && !is_over {
            // Nothing of a whole burst could be written; what comes after it may be.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((!buffer.is_empty()).then(|| buffer.into()))
    })
}

fn write(format: &Format, buffer: &mut Vec<u8>, event: &Event) {
    let whole = buffer.len();
    buffer.reserve(EVENT_BYTES);
    if let Err(error) = (format.write)(buffer, event) {
        tracing::error!(%error, "a response could not be written");
        buffer.truncate(whole);
    }
}
