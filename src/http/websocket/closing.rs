//! The end of a socket: the close frame, and the time to read it.

use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::protocol::Close;
use super::wire::Socket;

/// The time for a client to read a close frame and to close its side. Dropping a connection with
/// unread bytes resets it, which may lose the close frame.
const PARTING: Duration = Duration::from_secs(1);

/// Closes a socket before any message was sent.
pub(super) async fn refuse(mut socket: Socket, close: &Close) {
    let frame = Message::Close(Some(close.frame()));
    if let Ok(Ok(())) = timeout(PARTING, socket.send(frame)).await {
        leave(socket, true).await;
    }
}

/// Waits until the client has closed its side, which also sends the remaining output.
pub(super) async fn leave<T, E>(
    mut incoming: impl Stream<Item = Result<T, E>> + Unpin,
    is_readable: bool,
) {
    if !is_readable {
        // Without reading, the client's close would go unnoticed.
        return sleep(PARTING).await;
    }
    let closed = async { while let Some(Ok(_)) = incoming.next().await {} };
    if timeout(PARTING, closed).await.is_err() {
        tracing::debug!("websocket close timed out");
    }
}
