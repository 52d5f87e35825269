//! The operations of one socket.

use std::sync::Arc;

use async_graphql::{Response, ServerError};
use futures_util::{Stream, StreamExt};

use super::outbox::Outbox;
use super::protocol::{Protocol, ServerMessage};
use super::running::{Refused, Running, Ticket};
use super::writer::Frame;
use crate::graphql::Code;
use crate::http::Server;
use crate::http::admit::Operation as Admitted;
use crate::http::in_flight::{Full, Held};
use crate::http::request_id::RequestId;
use crate::http::respond::{execute_stream, is_request_error};
use crate::http::stream_limits::StreamToken;
use talkgraph_watchdog::{Task, watched};

/// The active operations of a socket; dropping this ends them.
pub(super) struct Operations {
    server: Arc<Server>,
    protocol: Protocol,
    frames: Outbox,
    running: Arc<Running>,
}

impl Operations {
    pub(super) fn new(
        server: Arc<Server>,
        protocol: Protocol,
        frames: Outbox,
        running: Arc<Running>,
    ) -> Self {
        Self {
            server,
            protocol,
            frames,
            running,
        }
    }

    pub(super) fn start(
        &self,
        id: &str,
        admitted: Admitted,
        request_id: RequestId,
        request: Held,
    ) -> Result<(), Refused> {
        let limit = self.server.transport.websocket_operations;
        let replaces = self.protocol.replaces();
        self.running.start(id, limit, replaces, |ticket| {
            let task = Task::of("an operation of a socket", &request_id.0);
            let responses = execute_stream(&self.server, admitted, request_id);
            let operation = Operation {
                ticket,
                protocol: self.protocol,
                frames: self.frames.clone(),
                _open: self.server.streams.stream(),
                held: request,
            };
            tokio::spawn(watched(task, operation.run(responses))).abort_handle()
        })
    }

    /// Ends an operation at the client's request; returns false if there is none.
    pub(super) fn stop(&self, id: &str) -> bool {
        self.running.stop(id)
    }

    /// Ends all operations; their queued messages are not written.
    pub(super) fn stop_all(&self) {
        self.running.stop_all();
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        self.running.end_all();
    }
}

struct Operation {
    ticket: Arc<Ticket>,
    protocol: Protocol,
    frames: Outbox,
    _open: StreamToken,
    /// The bytes of the request, held while it runs, and of the frame that waits to be queued.
    held: Held,
}

impl Operation {
    async fn run(mut self, mut responses: impl Stream<Item = Response> + Unpin + Send) {
        let (mut first, request) = (true, self.held.bytes());
        loop {
            // Neither kept while it waits for capacity, nor memory reserved for it.
            let (mut frame, is_last) = self.frame(responses.next().await, first);
            first = false;
            let bytes = frame.as_ref().map_or(0, Frame::len);
            if let Err(full) = self.held.with(request, bytes) {
                drop(frame.take());
                return self.end_without_room(&full).await;
            }
            let is_heard = match frame {
                Some(frame) => self.frames.send(frame).await.is_ok(),
                None => true,
            };
            if is_last || !is_heard {
                return;
            }
        }
    }

    /// Ends the operation with an error, because its response exceeds the bytes allowed in flight.
    async fn end_without_room(self, full: &Full) {
        let mut error = ServerError::new(full.to_string(), None);
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", Code::Unavailable.as_str());
        let response = Response::from_errors(vec![error]);
        for response in [Some(response), None] {
            let (frame, _) = self.frame(response, false);
            let Some(frame) = frame else { continue };
            if self.frames.send(frame).await.is_err() {
                return;
            }
        }
    }

    /// Encodes a response or the end of the operation, and tells if it is the last frame.
    fn frame(&self, response: Option<Response>, first: bool) -> (Option<Frame>, bool) {
        let id = &*self.ticket.id;
        let (message, is_last) = match &response {
            // Nothing was executed, for which the protocols have a separate message.
            Some(response) if first && is_request_error(response) => {
                let errors = &response.errors;
                (ServerMessage::Error { id, errors }, true)
            }
            Some(response) => (ServerMessage::Next { id, response }, false),
            None => (ServerMessage::Complete { id }, true),
        };
        let frame = match is_last {
            true => Frame::Last,
            false => Frame::Of,
        };
        let text = self.protocol.write(&message);
        let frame = text.map(|text| frame(Arc::clone(&self.ticket), text));
        (frame, is_last)
    }
}
