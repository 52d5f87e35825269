//! Streams of responses in the body of one response: what Server-Sent Events and multipart
//! have in common.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Response as GraphqlResponse, Value};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::accept::MediaType;
use super::admit::{Kind, Operation};
use super::error::Refusal;
use super::request_id::RequestId;
use super::respond::{self, begin_stream};
use crate::domain::Principal;
use crate::graphql::{Code, Progress, ResumeAfter};

/// How many responses go out in one write when they are ready together.
const BURST: usize = 64;

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

impl Event {
    /// Whether it says that the stream ends and can go on elsewhere.
    fn is_resumable(&self) -> bool {
        self.response.errors.iter().any(|error| {
            let extensions = error.extensions.as_ref();
            extensions.is_some_and(|extensions| extensions.get("resumable").is_some())
        })
    }
}

/// What a client is told that has left its stream unread and reads again.
fn unread(after: Option<u64>, id: &RequestId) -> Event {
    let message = "the stream was left unread for too long; go on from what you have";
    let mut response = respond::coded(Code::LimitExceeded, message, id);
    for error in &mut response.errors {
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("resumable", true);
        if let Some(after) = after {
            extensions.set("after", after);
        }
    }
    Event { id: None, response }
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
    let responses = match begin_stream(server, operation, id.clone()) {
        Ok(responses) => responses,
        Err(refused) => return Ok(respond::write(&refused, MediaType::GraphqlResponse)),
    };
    let events = responses
        .map(move |response| Event {
            // What failed as a whole can be tried again from before it.
            id: progress.take().filter(|_| response.data != Value::Null),
            response,
        })
        .ready_chunks(BURST);
    let patience = Patience {
        keep_alive: server.transport.keep_alive,
        unread: server.transport.stream_stall_timeout,
    };
    let frames = frames(format, events, patience, server.stopping.clone(), id);
    // Given back when the client has read everything or has gone.
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
        // Proxies such as nginx would otherwise hold events back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// How long a stream waits.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the next event, before it says that it is still there.
    keep_alive: Duration,
    /// For the client to take what was written.
    unread: Duration,
}

/// The body: what is ready together is one piece.
fn frames(
    format: &'static Format,
    mut events: impl Stream<Item = Vec<Event>> + Unpin + Send + 'static,
    patience: Patience,
    stopping: CancellationToken,
    id: RequestId,
) -> impl Stream<Item = Bytes> + Send + 'static {
    async_stream::stream! {
        yield Bytes::from_static(format.hello);
        let (mut end, mut last) = (format.end, None);
        let mut told = Instant::now();
        let mut quiet = pin!(tokio::time::sleep(patience.keep_alive));
        let mut stopping = pin!(stopping.cancelled());
        loop {
            let piece = tokio::select! {
                biased;
                ready = events.next() => {
                    let Some(ready) = ready else { break };
                    last = ready.iter().rev().find_map(|event| event.id).or(last);
                    if ready.iter().any(Event::is_resumable) {
                        end = format.cut;
                    }
                    write(format, &ready)
                }
                () = &mut stopping => {
                    end = format.cut;
                    break;
                }
                () = &mut quiet => {
                    // Moved only when it fires, which is cheaper than for every event.
                    let due = told + patience.keep_alive;
                    if Instant::now() < due {
                        quiet.as_mut().reset(due);
                        continue;
                    }
                    quiet.as_mut().reset(Instant::now() + patience.keep_alive);
                    Bytes::from_static(format.keep_alive)
                }
            };
            told = Instant::now();
            yield piece;
            // It is asked for more as soon as the connection takes more.
            if told.elapsed() > patience.unread {
                yield write(format, &[unread(last, &id)]);
                end = format.cut;
                break;
            }
        }
        if !end.is_empty() {
            yield Bytes::from_static(end);
        }
    }
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

fn write(format: &Format, events: &[Event]) -> Bytes {
    let mut buffer = Vec::with_capacity(256 * events.len());
    for event in events {
        let whole = buffer.len();
        if let Err(error) = (format.write)(&mut buffer, event) {
            tracing::error!(%error, "a response could not be written");
            buffer.truncate(whole);
        }
    }
    buffer.into()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::stream;

    use super::*;
    use crate::http::sse;

    fn event(id: u64) -> Event {
        let response = GraphqlResponse::new(Value::from(id));
        Event {
            id: Some(id),
            response,
        }
    }

    fn body(events: impl Stream<Item = Vec<Event>> + Send + 'static) -> impl Stream<Item = Bytes> {
        let patience = Patience {
            keep_alive: Duration::from_secs(12),
            unread: Duration::from_secs(30),
        };
        let id = RequestId("req".into());
        frames(
            &sse::FORMAT,
            events.boxed(),
            patience,
            CancellationToken::new(),
            id,
        )
    }

    async fn text(body: &mut (impl Stream<Item = Bytes> + Unpin)) -> Option<String> {
        let piece = body.next().await?;
        Some(String::from_utf8_lossy(&piece).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_left_its_stream_unread_is_told_where_to_go_on() {
        let mut body = pin!(body(stream::iter([
            vec![event(6), event(7)],
            vec![event(8)]
        ])));
        assert_eq!(text(&mut body).await.unwrap(), ":\n\n");
        assert!(text(&mut body).await.unwrap().contains("id: 7"));
        tokio::time::advance(Duration::from_secs(31)).await;
        let told = text(&mut body).await.unwrap();
        for word in ["LIMIT_EXCEEDED", "\"resumable\":true", "\"after\":7"] {
            assert!(told.contains(word), "{told}");
        }
        assert_eq!(text(&mut body).await, None, "and without `complete`");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_is_no_unread_one() {
        let mut body = pin!(body(stream::once(async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            vec![event(1)]
        })));
        let mut seen = Vec::new();
        while let Some(piece) = text(&mut body).await {
            seen.push(piece);
        }
        // Hello, three keep-alives, the event, the end.
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert!(seen[5].starts_with("event: complete"));
    }
}
