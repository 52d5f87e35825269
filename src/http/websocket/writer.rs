//! The writing half of a socket: takes queued frames, feeds them and flushes once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::outbox::Queued;
use super::running::{Running, Ticket};
use super::wire::{FRAME_BYTES, Socket};

/// A queued frame. Small, because a new queue has capacity for 32.
pub(super) enum Frame {
    /// A ping or a close frame.
    Control(Box<Message>),
    /// A message of the connection itself.
    Own(String),
    /// The answer to the last ping.
    Pong,
    /// A message of an operation.
    Of(Arc<Ticket>, String),
    /// The last message of an operation.
    Last(Arc<Ticket>, String),
}

/// The message that a frame becomes.
enum Wanted {
    Message(Message),
    Text(String),
}

impl Frame {
    /// Returns the number of bytes that the frame keeps in memory.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Control(message) => message.len(),
            Self::Own(text) | Self::Of(_, text) | Self::Last(_, text) => text.len(),
            Self::Pong => 0,
        }
    }

    /// Returns the message to write, unless the client stopped its operation.
    fn wanted(self, running: &Running, queued: &Queued) -> Option<Wanted> {
        match self {
            Self::Control(message) => Some(Wanted::Message(*message)),
            Self::Own(text) => Some(Wanted::Text(text)),
            Self::Pong => queued.pong().map(Wanted::Text),
            Self::Of(ticket, text) => (!ticket.is_stopped()).then_some(Wanted::Text(text)),
            // The id is freed before the client learns of the end and may reuse it.
            Self::Last(ticket, text) => running.free(&ticket).then_some(Wanted::Text(text)),
        }
    }
}

/// The reason for which a socket's writer ends early.
enum Stuck {
    /// The client read nothing for too long.
    Stalled,
    Failed(Error),
}

/// Writes until all senders are dropped, a close frame is written, or the reader is gone or reads
/// nothing for `stall_timeout`.
pub(super) async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut queued: Queued,
    running: Arc<Running>,
    stall_timeout: Duration,
) {
    // Grows with the first burst: most sockets are idle.
    let mut ready = Vec::new();
    while queued.take(&mut ready).await > 0 {
        match burst(&mut sink, &queued, &mut ready, &running, stall_timeout).await {
            Ok(false) => {}
            Ok(true) => return,
            Err(Stuck::Failed(error)) => return tracing::debug!(%error, "websocket write failed"),
            Err(Stuck::Stalled) => return tracing::debug!("websocket write timed out"),
        }
    }
}

/// Writes the frames that are ready and flushes once; returns true after the close frame.
async fn burst(
    sink: &mut SplitSink<Socket, Message>,
    queued: &Queued,
    ready: &mut Vec<Frame>,
    running: &Running,
    stall_timeout: Duration,
) -> Result<bool, Stuck> {
    let mut closes = false;
    for frame in ready.drain(..) {
        let cost = queued.cost(&frame);
        match frame.wanted(running, queued) {
            Some(Wanted::Message(message)) => {
                closes |= matches!(message, Message::Close(_));
                patiently(stall_timeout, sink.feed(message)).await?;
            }
            Some(Wanted::Text(text)) => {
                for message in messages(text) {
                    patiently(stall_timeout, sink.feed(message)).await?;
                }
            }
            None => {}
        }
        queued.written(cost);
    }
    patiently(stall_timeout, sink.flush()).await?;
    Ok(closes)
}

/// Applies the time limit to each frame: a long message may take long while it is being read.
async fn patiently(
    stall_timeout: Duration,
    sent: impl Future<Output = Result<(), Error>>,
) -> Result<(), Stuck> {
    match timeout(stall_timeout, sent).await {
        Ok(sent) => sent.map_err(Stuck::Failed),
        Err(_) => Err(Stuck::Stalled),
    }
}

/// Splits a message into frames of at most [`FRAME_BYTES`] (RFC 6455, section 5.4).
fn messages(text: String) -> impl Iterator<Item = Message> {
    let is_short = text.len() <= FRAME_BYTES;
    let (short, long) = match is_short {
        true => (Some(Message::text(text)), Bytes::new()),
        false => (None, Bytes::from(text)),
    };
    let pieces = (0..long.len()).step_by(FRAME_BYTES).map(move |start| {
        let end = (start + FRAME_BYTES).min(long.len());
        let kind = match start {
            0 => Data::Text,
            _ => Data::Continue,
        };
        let is_last = end == long.len();
        Message::Frame(RawFrame::message(
            long.slice(start..end),
            OpCode::Data(kind),
            is_last,
        ))
    });
    short.into_iter().chain(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::in_flight::InFlight;

    fn of(ticket: &Arc<Ticket>) -> Frame {
        Frame::Of(Arc::clone(ticket), "next".to_owned())
    }

    fn last(ticket: &Arc<Ticket>) -> Frame {
        Frame::Last(Arc::clone(ticket), "complete".to_owned())
    }

    #[test]
    fn a_long_message_is_several_frames() {
        let text: String = ('a'..='z').cycle().take(FRAME_BYTES * 2 + 1).collect();
        let frames: Vec<Message> = messages(text.clone()).collect();
        let mut joined = Vec::new();
        for (n, frame) in frames.iter().enumerate() {
            let Message::Frame(frame) = frame else {
                panic!("{frame:?}");
            };
            assert_eq!(frame.header().is_final, n == 2);
            let is_first = frame.header().opcode == OpCode::Data(Data::Text);
            assert_eq!(is_first, n == 0);
            joined.extend_from_slice(frame.payload());
        }
        assert_eq!(joined, text.as_bytes());
        assert_eq!(
            messages("short".to_owned()).next(),
            Some(Message::text("short"))
        );
    }

    #[tokio::test]
    async fn what_was_queued_of_a_stopped_operation_is_not_written() {
        let running = Running::default();
        let held = Arc::new(InFlight::new(1_000_000)).hold("acme".into());
        let (_outbox, queued) = super::super::outbox::outbox(1_000, held);
        let start = || {
            let mut given = None;
            let spawned = |ticket| {
                given = Some(ticket);
                tokio::spawn(std::future::pending::<()>()).abort_handle()
            };
            let started = running.start("1", 1, false, spawned);
            started.is_ok().then_some(given).flatten()
        };
        let first = start().unwrap();
        assert!(of(&first).wanted(&running, &queued).is_some());
        assert!(start().is_none(), "its id is taken");
        assert!(running.stop("1"));
        let second = start().unwrap();
        assert!(of(&first).wanted(&running, &queued).is_none());
        assert!(last(&first).wanted(&running, &queued).is_none());
        assert!(of(&second).wanted(&running, &queued).is_some());
        assert!(last(&second).wanted(&running, &queued).is_some());
        assert!(start().is_some(), "its id is free");
    }
}
