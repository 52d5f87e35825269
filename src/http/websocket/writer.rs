//! The writing half of a socket: takes what is queued, feeds it, flushes once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;

use super::running::{Running, Ticket};

/// How many frames may wait for the writer; past it, operations wait, each for its turn.
pub(super) const QUEUE: usize = 64;

/// What is to be written. A queue has room for 32 as soon as it is made, so they are small.
pub(super) enum Frame {
    /// Of the connection itself.
    Own(Box<Message>),
    /// Of an operation.
    Of(Arc<Ticket>, String),
    /// The last of an operation.
    Last(Arc<Ticket>, String),
}

impl Frame {
    /// The message, unless the client has stopped its operation meanwhile.
    fn wanted(self, running: &Running) -> Option<Message> {
        match self {
            Self::Own(message) => Some(*message),
            Self::Of(ticket, text) => (!ticket.is_stopped()).then(|| Message::text(text)),
            // The id is free before the client can know that it has ended, and use it again.
            Self::Last(ticket, text) => running.free(&ticket).then(|| Message::text(text)),
        }
    }
}

/// Writes until every sender is gone, a close frame was written, or the reader is gone or
/// takes nothing for `stall_timeout`.
pub(super) async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut frames: mpsc::Receiver<Frame>,
    running: Arc<Running>,
    stall_timeout: Duration,
) {
    // Grows with the first burst: most sockets are quiet.
    let mut ready = Vec::new();
    while frames.recv_many(&mut ready, QUEUE).await > 0 {
        let mut closes = false;
        let sent = async {
            for frame in ready.drain(..) {
                if let Some(message) = frame.wanted(&running) {
                    closes |= matches!(message, Message::Close(_));
                    sink.feed(message).await?;
                }
            }
            sink.flush().await
        };
        match tokio::time::timeout(stall_timeout, sent).await {
            Ok(Ok(())) if closes => return,
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(%error, "a socket takes no more"),
            Err(_) => return tracing::debug!("a socket's reader has stalled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ticket: &Arc<Ticket>) -> Frame {
        Frame::Of(Arc::clone(ticket), "next".to_owned())
    }

    fn last(ticket: &Arc<Ticket>) -> Frame {
        Frame::Last(Arc::clone(ticket), "complete".to_owned())
    }

    #[tokio::test]
    async fn what_was_queued_of_a_stopped_operation_is_not_written() {
        let running = Running::default();
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
        assert!(of(&first).wanted(&running).is_some());
        assert!(start().is_none(), "its id is taken");
        assert!(running.stop("1"));
        let second = start().unwrap();
        assert!(of(&first).wanted(&running).is_none());
        assert!(last(&first).wanted(&running).is_none());
        assert!(of(&second).wanted(&running).is_some());
        assert!(last(&second).wanted(&running).is_some());
        assert!(start().is_some(), "its id is free");
    }
}
