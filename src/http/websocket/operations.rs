//! The operations of one socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::Message;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::protocol::ServerMessage;
use crate::graphql::Code;
use crate::http::Server;
use crate::http::admit::Operation as Admitted;
use crate::http::request_id::RequestId;
use crate::http::respond::{coded, execute_stream, is_request_error};

/// What is going on on a socket; everything ends when this is dropped.
pub(super) struct Operations {
    server: Arc<Server>,
    frames: mpsc::Sender<Message>,
    running: Arc<Mutex<HashMap<String, Running>>>,
    started: u64,
}

struct Running {
    /// Tells an operation from a later one of the same id.
    number: u64,
    task: Option<JoinHandle<()>>,
}

/// Why an operation is not started.
pub(super) enum Refused {
    Duplicate,
    TooMany(usize),
}

impl Operations {
    pub(super) fn new(server: Arc<Server>, frames: mpsc::Sender<Message>) -> Self {
        Self {
            server,
            frames,
            running: Arc::default(),
            started: 0,
        }
    }

    pub(super) fn start(
        &mut self,
        id: String,
        admitted: Admitted,
        request_id: RequestId,
    ) -> Result<(), Refused> {
        let limit = self.server.transport.websocket_operations;
        self.started += 1;
        let number = self.started;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(&id) {
            return Err(Refused::Duplicate);
        }
        if running.len() >= limit {
            return Err(Refused::TooMany(limit));
        }
        let operation = Operation {
            id: id.clone(),
            number,
            frames: self.frames.clone(),
            running: Arc::clone(&self.running),
        };
        let responses = execute_stream(&self.server, admitted, request_id);
        let task = tokio::spawn(operation.run(responses));
        let task = Some(task);
        running.insert(id, Running { number, task });
        Ok(())
    }

    /// Ends an operation without a word, as the client asked.
    pub(super) fn stop(&self, id: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running {
            task: Some(task), ..
        }) = running.remove(id)
        {
            task.abort();
        }
    }

    /// Tells the client that an operation was refused; the others go on.
    pub(super) async fn refuse(&self, id: &str, limit: usize, request_id: &RequestId) {
        let message = format!("this socket may have {limit} operations at once");
        let response = coded(Code::LimitExceeded, &message, request_id);
        let error = ServerMessage::Error {
            id,
            payload: &response.errors,
        };
        if let Some(text) = error.to_text() {
            // A writer that is gone has nobody to tell.
            let _ = self.frames.send(Message::Text(text)).await;
        }
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, operation) in running.drain() {
            if let Some(task) = operation.task {
                task.abort();
            }
        }
    }
}

struct Operation {
    id: String,
    number: u64,
    frames: mpsc::Sender<Message>,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

impl Operation {
    async fn run(
        self,
        responses: impl futures_util::Stream<Item = async_graphql::Response> + Send,
    ) {
        let mut responses = Box::pin(responses);
        let mut first = true;
        while let Some(response) = responses.next().await {
            if first && is_request_error(&response) {
                // Nothing was executed; the protocol has a message of its own for that.
                self.forget();
                let payload = &response.errors;
                self.send(&ServerMessage::Error {
                    id: &self.id,
                    payload,
                })
                .await;
                return;
            }
            first = false;
            let next = ServerMessage::Next {
                id: &self.id,
                payload: &response,
            };
            if !self.send(&next).await {
                return;
            }
        }
        // Before the client can know that it has ended, and use the id again.
        self.forget();
        self.send(&ServerMessage::Complete { id: &self.id }).await;
    }

    async fn send(&self, message: &ServerMessage<'_>) -> bool {
        match message.to_text() {
            Some(text) => self.frames.send(Message::Text(text)).await.is_ok(),
            None => true,
        }
    }

    fn forget(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running
            .get(&self.id)
            .is_some_and(|operation| operation.number == self.number)
        {
            running.remove(&self.id);
        }
    }
}
