//! The writing half of a socket: takes what is queued, feeds it, flushes once.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;

/// How many frames may wait for the writer; past it, operations wait.
pub(super) const QUEUE: usize = 64;

/// Writes until every sender is gone, a close frame was written or the reader stalls.
/// Returns whether the reader stalled.
pub(super) async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut frames: mpsc::Receiver<Message>,
    stall_timeout: Duration,
) -> bool {
    let mut ready = Vec::with_capacity(QUEUE);
    while frames.recv_many(&mut ready, QUEUE).await > 0 {
        let closes = ready.iter().any(|frame| matches!(frame, Message::Close(_)));
        let sent = async {
            for frame in ready.drain(..) {
                sink.feed(frame).await?;
            }
            sink.flush().await
        };
        match tokio::time::timeout(stall_timeout, sent).await {
            Ok(Ok(())) if closes => return false,
            Ok(Ok(())) => {}
            Ok(Err(_)) => return false,
            Err(_) => return true,
        }
    }
    false
}
