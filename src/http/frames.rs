//! The chunks of a streaming response body, and the events in them.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_graphql::Response as GraphqlResponse;
use axum::body::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::content_negotiation::MediaType;
use super::in_flight::{Full, Held, counted};
use super::request_id::RequestId;
use super::respond;
use crate::auth::AuthError;
use crate::graphql::Code;

/// The maximum number of responses in one write when they are ready together.
const BURST: usize = 64;

/// The size in bytes at which a write takes no further response.
const BURST_BYTES: usize = 64 * 1024;

/// The initial buffer capacity, enough for most events.
const EVENT_BYTES: usize = 256;

/// The encoding of a stream. Each write can be parsed on its own.
pub(super) struct Format {
    pub(super) media_type: MediaType,
    /// The preamble that confirms the connection.
    pub(super) hello: &'static [u8],
    pub(super) keep_alive: &'static [u8],
    /// Appends one response.
    pub(super) write: fn(&mut Vec<u8>, &Event) -> serde_json::Result<()>,
    /// The end of an operation.
    pub(super) end: &'static [u8],
    /// The end of a stream that the server closes before the operation ends.
    pub(super) cut: &'static [u8],
}

/// One response of a stream.
pub(super) struct Event {
    /// The id after which the client can resume, if it can.
    pub(super) id: Option<u64>,
    pub(super) response: GraphqlResponse,
}

impl Event {
    /// Returns true if the event ends the stream and the client can resume elsewhere.
    fn is_resumable(&self) -> bool {
        self.response.errors.iter().any(|error| {
            let extensions = error.extensions.as_ref();
            extensions.is_some_and(|extensions| extensions.get("resumable").is_some())
        })
    }
}

/// The error for a client that reads a stream again after leaving it unread too long.
fn unread(after: Option<u64>, id: &RequestId) -> Event {
    let message = "the stream was left unread for too long; resume after the last event received";
    resumable(Code::LimitExceeded, message, after, id)
}

/// The error that ends a stream if its next chunk exceeds the bytes allowed in flight.
fn no_room(full: &Full, after: Option<u64>, id: &RequestId) -> Event {
    resumable(Code::Unavailable, &full.to_string(), after, id)
}

fn resumable(code: Code, message: &str, after: Option<u64>, id: &RequestId) -> Event {
    let mut response = respond::coded(code, message, id);
    for error in &mut response.errors {
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("resumable", true);
        if let Some(after) = after {
            extensions.set("after", after);
        }
    }
    Event { id: None, response }
}

/// The error that ends a stream whose key was removed. That key cannot resume it.
fn without_key(id: &RequestId) -> Event {
    let response = respond::coded(Code::Unauthenticated, &AuthError::Removed.to_string(), id);
    Event { id: None, response }
}

/// The reasons for which the server ends a stream before its operation ends.
pub(super) struct Ending {
    /// The server stops.
    pub(super) stopping: CancellationToken,
    /// The caller's key is no longer valid.
    pub(super) removed: CancellationToken,
}

/// The time limits of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamTimeouts {
    /// The idle time before a keep-alive.
    pub(super) keep_alive: Duration,
    /// The time that the client may leave the stream unread.
    pub(super) unread: Duration,
}

/// Creates the body; responses that are ready together form one chunk.
pub(super) fn frames(
    format: &'static Format,
    events: impl Stream<Item = Event> + Unpin + Send + 'static,
    timeouts: StreamTimeouts,
    ending: Ending,
    mut held: Held,
    id: RequestId,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut bursts = bursts(format, events);
    async_stream::stream! {
        yield Bytes::from_static(format.hello);
        let (mut end, mut last) = (format.end, None);
        let mut last_write = Instant::now();
        let mut keep_alive = pin!(tokio::time::sleep(timeouts.keep_alive));
        let mut stopping = pin!(ending.stopping.cancelled());
        let mut removed = pin!(ending.removed.cancelled());
        loop {
            let piece = tokio::select! {
                biased;
                // First: events that are always ready would otherwise starve it.
                () = &mut removed => {
                    let mut burst = Burst::default();
                    burst.write(format, &without_key(&id));
                    yield burst.bytes.into();
                    break;
                }
                burst = bursts.next() => {
                    let Some(burst) = burst else { break };
                    match counted(burst.bytes, &mut held) {
                        Ok(piece) => {
                            last = burst.last.or(last);
                            if burst.is_resumable {
                                end = format.cut;
                            }
                            piece
                        }
                        Err(full) => {
                            let mut burst = Burst::default();
                            burst.write(format, &no_room(&full, last, &id));
                            yield burst.bytes.into();
                            end = format.cut;
                            break;
                        }
                    }
                }
                () = &mut stopping => {
                    end = format.cut;
                    break;
                }
                () = &mut keep_alive => {
                    // Reset only when it fires, which is cheaper than for every event.
                    let due = last_write + timeouts.keep_alive;
                    if Instant::now() < due {
                        keep_alive.as_mut().reset(due);
                        continue;
                    }
                    keep_alive.as_mut().reset(Instant::now() + timeouts.keep_alive);
                    Bytes::from_static(format.keep_alive)
                }
            };
            last_write = Instant::now();
            yield piece;
            // Polled again as soon as the connection accepts more.
            if last_write.elapsed() > timeouts.unread {
                let mut burst = Burst::default();
                burst.write(format, &unread(last, &id));
                yield burst.bytes.into();
                end = format.cut;
                break;
            }
        }
        if !end.is_empty() {
            yield Bytes::from_static(end);
        }
    }
}

/// Encoded responses that are ready together.
#[derive(Default)]
struct Burst {
    bytes: Vec<u8>,
    /// The last id among them.
    last: Option<u64>,
    /// True if the last one ends the stream and the client can resume elsewhere.
    is_resumable: bool,
}

impl Burst {
    fn write(&mut self, format: &Format, event: &Event) {
        let whole = self.bytes.len();
        self.bytes.reserve(EVENT_BYTES);
        if let Err(error) = (format.write)(&mut self.bytes, event) {
            tracing::error!(%error, "failed to encode a response");
            self.bytes.truncate(whole);
        }
        self.last = event.id.or(self.last);
        self.is_resumable |= event.is_resumable();
    }
}

/// Encodes responses that are ready together, at most [`BURST`]. Each is encoded on arrival:
/// collecting them would take memory for a whole burst, and mostly there is one.
fn bursts(
    format: &'static Format,
    mut events: impl Stream<Item = Event> + Unpin,
) -> impl Stream<Item = Burst> + Unpin {
    let mut is_over = false;
    stream::poll_fn(move |context| {
        let mut burst = Burst::default();
        for _ in 0..BURST {
            if is_over || burst.bytes.len() > BURST_BYTES {
                break;
            }
            match events.poll_next_unpin(context) {
                Poll::Ready(Some(event)) => burst.write(format, &event),
                Poll::Ready(None) => is_over = true,
                Poll::Pending if burst.bytes.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if burst.bytes.is_empty() && !is_over {
            // No event of the burst could be encoded; later ones may be.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((!burst.bytes.is_empty()).then_some(burst))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use async_graphql::Value;

    use super::*;
    use crate::http::in_flight::InFlight;
    use crate::http::sse;

    fn event(id: u64) -> Event {
        let response = GraphqlResponse::new(Value::from(id));
        Event {
            id: Some(id),
            response,
        }
    }

    fn body(events: impl Stream<Item = Event> + Send + 'static) -> impl Stream<Item = Bytes> {
        let timeouts = StreamTimeouts {
            keep_alive: Duration::from_secs(12),
            unread: Duration::from_secs(30),
        };
        let id = RequestId("req".into());
        frames(
            &sse::FORMAT,
            events.boxed(),
            timeouts,
            Ending {
                stopping: CancellationToken::new(),
                removed: CancellationToken::new(),
            },
            Arc::new(InFlight::new(1 << 20)).hold("acme".into()),
            id,
        )
    }

    async fn text(body: &mut (impl Stream<Item = Bytes> + Unpin)) -> Option<String> {
        let piece = body.next().await?;
        Some(String::from_utf8_lossy(&piece).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_left_its_stream_unread_is_told_where_to_go_on() {
        let mut body = pin!(body(stream::iter([event(6), event(7)]).chain(
            stream::once(async {
                tokio::task::yield_now().await;
                event(8)
            })
        )));
        assert_eq!(text(&mut body).await.unwrap(), ":\n\n");
        assert!(text(&mut body).await.unwrap().contains("id: 7"));
        tokio::time::advance(Duration::from_secs(31)).await;
        let last_write = text(&mut body).await.unwrap();
        for word in ["LIMIT_EXCEEDED", "\"resumable\":true", "\"after\":7"] {
            assert!(last_write.contains(word), "{last_write}");
        }
        assert_eq!(text(&mut body).await, None, "and without `complete`");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_is_no_unread_one() {
        let mut body = pin!(body(stream::once(async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            event(1)
        })));
        let mut seen = Vec::new();
        while let Some(piece) = text(&mut body).await {
            seen.push(piece);
        }
        // The preamble, three keep-alives, the event, the end.
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert!(seen[5].starts_with("event: complete"));
    }
}
