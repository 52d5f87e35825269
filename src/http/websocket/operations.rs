//! The operations of one socket.

use std::pin::pin;
use std::sync::Arc;

use async_graphql::Response;
use axum::extract::ws::Message;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::protocol::{Protocol, ServerMessage};
use super::running::{Refused, Running, Ticket};
use super::writer::Frame;
use crate::http::Server;
use crate::http::admit::Operation as Admitted;
use crate::http::open::StreamToken;
use crate::http::request_id::RequestId;
use crate::http::respond::{execute_stream, is_request_error};

/// What is going on on a socket; everything ends when this is dropped.
pub(super) struct Operations {
    server: Arc<Server>,
    protocol: Protocol,
    frames: mpsc::Sender<Frame>,
    running: Arc<Running>,
}

impl Operations {
    pub(super) fn new(
        server: Arc<Server>,
        protocol: Protocol,
        frames: mpsc::Sender<Frame>,
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
    ) -> Result<(), Refused> {
        let limit = self.server.transport.websocket_operations;
        let replaces = self.protocol.replaces();
        self.running.start(id, limit, replaces, |ticket| {
            let responses = execute_stream(&self.server, admitted, request_id);
            let operation = Operation {
                ticket,
                protocol: self.protocol,
                frames: self.frames.clone(),
                _open: self.server.streams.stream(),
            };
            tokio::spawn(operation.run(responses)).abort_handle()
        })
    }

    /// Ends an operation, as the client asked; whether there was one.
    pub(super) fn stop(&self, id: &str) -> bool {
        self.running.stop(id)
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
    frames: mpsc::Sender<Frame>,
    _open: StreamToken,
}

impl Operation {
    async fn run(self, responses: impl Stream<Item = Response> + Send) {
        let mut responses = pin!(responses);
        let id = &*self.ticket.id;
        let mut first = true;
        while let Some(response) = responses.next().await {
            if first && is_request_error(&response) {
                // Nothing was executed; the protocols have a message of its own for that.
                let errors = &response.errors;
                self.say(Frame::Last, &ServerMessage::Error { id, errors })
                    .await;
                return;
            }
            first = false;
            let response = &response;
            if !self
                .say(Frame::Of, &ServerMessage::Next { id, response })
                .await
            {
                return;
            }
        }
        self.say(Frame::Last, &ServerMessage::Complete { id }).await;
    }

    /// Queues a message; whether there still is a writer.
    async fn say(
        &self,
        frame: fn(Arc<Ticket>, Message) -> Frame,
        message: &ServerMessage<'_>,
    ) -> bool {
        let Some(text) = self.protocol.write(message) else {
            return true;
        };
        let frame = frame(Arc::clone(&self.ticket), Message::Text(text));
        self.frames.send(frame).await.is_ok()
    }
}
