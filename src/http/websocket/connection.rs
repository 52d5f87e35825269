//! One socket, from `connection_init` to its end.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use super::client::{Client, Handled};
use super::closing::leave;
use super::operations::Operations;
use super::outbox::{Outbox, outbox};
use super::protocol::{Close, Protocol};
use super::running::Running;
use super::wire::{self, Meter, Socket};
use super::writer::{self, Frame};
use crate::auth::Grant;
use crate::http::Server;
use crate::http::request_id::RequestId;
use crate::http::stream_limits::SocketToken;
use talkgraph_tools::CallerHeaders;

/// The initial state of a socket.
pub(super) struct Opened {
    pub(super) server: Arc<Server>,
    pub(super) protocol: Protocol,
    pub(super) place: SocketToken,
    pub(super) id: RequestId,
    /// The caller authenticated by the upgrade request, if any.
    pub(super) who: Option<Grant>,
    /// The headers of the upgrade request that tools forward.
    pub(super) headers: CallerHeaders,
    /// The limit on message sizes.
    pub(super) meter: Arc<Meter>,
}

/// An active socket.
pub(super) struct Connection {
    server: Arc<Server>,
    client: Client,
    incoming: SplitStream<Socket>,
    frames: Outbox,
    writing: JoinHandle<()>,
}

impl Connection {
    /// Starts the writer of a socket. Separate from [`Connection::serve`], whose future would hold
    /// the arguments.
    pub(super) fn new(opened: Opened, socket: Socket) -> Self {
        let server = Arc::clone(&opened.server);
        let (sink, incoming) = socket.split();
        let (frames, queued) = outbox(
            server.transport.websocket_queue_bytes,
            server.in_flight.hold(wire::no_tenant()),
        );
        let running = Arc::new(Running::default());
        let writing = tokio::spawn(writer::write(
            sink,
            queued,
            Arc::clone(&running),
            server.transport.websocket_stall_timeout,
        ));
        let operations = Operations::new(
            Arc::clone(&server),
            opened.protocol,
            frames.clone(),
            running,
        );
        Self {
            client: Client::new(opened, operations, frames.clone()),
            server,
            incoming,
            frames,
            writing,
        }
    }

    pub(super) async fn serve(mut self) {
        let transport = &self.server.transport;
        let begun = Instant::now();
        let mut ticks = interval_at(begun + transport.keep_alive, transport.keep_alive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let init_timeout = begun + transport.websocket_init_timeout;
        let close = loop {
            let handled: Handled = tokio::select! {
                message = self.incoming.next() => match message {
                    // Boxed: rare, and larger than the rest of a socket's state.
                    Some(Ok(message)) => Box::pin(self.client.handle_message(message)).await,
                    Some(Err(error)) => {
                        ControlFlow::Break(Close::of(error, self.client.message_bytes()))
                    }
                    None => ControlFlow::Break(None),
                },
                () = sleep_until(init_timeout), if !self.client.has_begun() => {
                    ControlFlow::Break(Some(Close::InitTimeout))
                }
                _ = ticks.tick() => Box::pin(self.client.keep_alive()).await,
                // A failed writer has no client to write to.
                ended = &mut self.writing => return report(ended),
                () = self.client.key_removed() => self.client.leave_without_key().await,
                () = self.frames.full() => ControlFlow::Break(Some(Close::Full)),
                () = self.server.stopping.cancelled() => {
                    ControlFlow::Break(Some(Close::GoingAway))
                }
            };
            if let ControlFlow::Break(close) = handled {
                break close;
            }
        };
        Box::pin(self.close(close)).await;
    }

    async fn close(self, close: Option<Close>) {
        // The operations end now; the token is released when the socket is closed.
        let _place = self.client.end();
        let is_readable = !close.as_ref().is_some_and(Close::is_of_a_broken_frame);
        match close {
            Some(close) => {
                tracing::debug!(?close, "closing websocket");
                let frame = Frame::Control(Box::new(Message::Close(Some(close.frame()))));
                // Frames queued before it are written before it.
                let _ = self.frames.send(frame).await;
            }
            // The client has closed or disconnected: no one reads the queued frames.
            None => self.writing.abort(),
        }
        drop(self.frames);
        report(self.writing.await);
        leave(self.incoming, is_readable).await;
    }
}

fn report(writing: Result<(), JoinError>) {
    if let Err(error) = writing
        && !error.is_cancelled()
    {
        tracing::error!(%error, "websocket writer failed");
    }
}
