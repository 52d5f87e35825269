//! Handling of the messages of a socket's client.

use std::future::pending;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::connection::Opened;
use super::operations::Operations;
use super::outbox::{Gone, Outbox};
use super::protocol::{ClientMessage, Close, Invalid, ServerMessage};
use super::running::Refused;
use super::writer::Frame;
use crate::auth::{AuthError, Grant};
use crate::graphql::Code;
use crate::http::admit::admit;
use crate::http::in_flight::Held;
use crate::http::parameters::Parameters;
use crate::http::respond::coded;
use crate::http::stream_limits::SocketToken;

/// Continues the socket, or closes it; without a frame if the client closed it or disconnected.
pub(super) type Handled = ControlFlow<Option<Close>>;

const GO_ON: Handled = ControlFlow::Continue(());

/// The maximum payload of a `ping`, in bytes, and the maximum before `connection_ack`, which equals
/// that of a ping frame. Both are echoed.
const PING_BYTES: usize = 1_024;
const EARLY_PING_BYTES: usize = 125;

/// The client of a socket.
pub(super) struct Client {
    opened: Opened,
    operations: Operations,
    frames: Outbox,
    /// The caller, after an accepted `connection_init`.
    who: Option<Grant>,
    heard: Instant,
}

impl Client {
    pub(super) fn new(opened: Opened, operations: Operations, frames: Outbox) -> Self {
        Self {
            opened,
            operations,
            frames,
            who: None,
            heard: Instant::now(),
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.who.is_some()
    }

    /// Returns the maximum size of the client's next message, in bytes.
    pub(super) fn message_bytes(&self) -> usize {
        self.opened.meter.limit()
    }

    /// Ends the client's operations; returns its token.
    pub(super) fn end(self) -> SocketToken {
        self.opened.place
    }

    pub(super) async fn handle_message(&mut self, message: Message) -> Handled {
        self.heard = Instant::now();
        let (text, held) = match message {
            Message::Text(text) => (text, self.opened.meter.message()),
            Message::Binary(_) => {
                drop(self.opened.meter.message());
                let why = "Messages must be text".to_owned();
                return self.invalid(Invalid { id: None, why }).await;
            }
            // The WebSocket library answers pings itself.
            Message::Ping(payload) | Message::Pong(payload) => {
                self.opened.meter.control(payload.len());
                return GO_ON;
            }
            Message::Close(_) | Message::Frame(_) => return ControlFlow::Break(None),
        };
        let limit = self.message_bytes();
        if text.len() > limit {
            return ControlFlow::Break(Some(Close::TooLarge { limit }));
        }
        match self.opened.protocol.read(&text) {
            Ok(message) => self.act(message, held).await,
            Err(invalid) => self.invalid(invalid).await,
        }
    }

    async fn act(&mut self, message: ClientMessage<'_>, held: Held) -> Handled {
        let is_for_all = matches!(
            message,
            ClientMessage::Init(_)
                | ClientMessage::Ping(_)
                | ClientMessage::Pong
                | ClientMessage::Terminate
        );
        if !self.has_begun() && !is_for_all {
            return self.reject(Close::Unauthorized).await;
        }
        match message {
            ClientMessage::Init(payload) => self.init(payload).await,
            ClientMessage::Ping(payload) => self.ping(payload).await,
            ClientMessage::Pong => GO_ON,
            ClientMessage::Start { id, payload } => self.start(id, payload, held).await,
            ClientMessage::Stop { id } => {
                if self.operations.stop(&id) && self.opened.protocol.confirms_stop() {
                    return self.say(&ServerMessage::Complete { id: &id }).await;
                }
                GO_ON
            }
            ClientMessage::Terminate => ControlFlow::Break(Some(Close::Asked)),
        }
    }

    async fn ping(&mut self, payload: Option<&RawValue>) -> Handled {
        let most = match self.has_begun() {
            true => PING_BYTES,
            false => EARLY_PING_BYTES,
        };
        if payload.is_some_and(|payload| payload.get().len() > most) {
            let why = format!("The payload of a ping may have at most {most} bytes");
            return self.invalid(Invalid { id: None, why }).await;
        }
        match self.opened.protocol.write(&ServerMessage::Pong(payload)) {
            Some(text) => while_connected(self.frames.pong(text).await),
            None => GO_ON,
        }
    }

    async fn init(&mut self, payload: Option<&RawValue>) -> Handled {
        if self.who.is_some() {
            return ControlFlow::Break(Some(Close::TooManyInits));
        }
        let server = &self.opened.server;
        let given = payload.and_then(authorization);
        let who = match (given, &self.opened.who) {
            (None, Some(who)) if who.removed.is_cancelled() => Err(AuthError::Removed),
            (None, Some(who)) => Ok(who.clone()),
            (given, _) => server.authenticator.authenticate(given.as_deref()),
        };
        let who = match who {
            Ok(who) => who,
            Err(error) => return self.reject(Close::Forbidden(error.to_string())).await,
        };
        let limit = server.transport.websocket_connections;
        if !self.opened.place.assign(&who.principal, limit) {
            return self.reject(Close::TooManySockets { limit }).await;
        }
        let tenant = &who.principal.tenant;
        let most = server.transport.websocket_message_bytes;
        self.opened.meter.raise(most, Arc::clone(tenant));
        self.frames.assign(Arc::clone(tenant));
        self.who = Some(who);
        self.say(&ServerMessage::Ack).await?;
        self.say(&ServerMessage::KeepAlive).await
    }

    async fn start(&mut self, id: String, payload: &RawValue, held: Held) -> Handled {
        let Some(who) = &self.who else {
            return self.reject(Close::Unauthorized).await;
        };
        if let Err(full) = self.opened.server.in_flight.admit(&who.principal.tenant) {
            return self.refuse(&id, Code::Unavailable, &full.to_string()).await;
        }
        let read = Parameters::from_json(payload.get().as_bytes());
        let admitted = read.and_then(|request| {
            admit(
                &self.opened.server,
                &request,
                &who.principal,
                &self.opened.headers,
            )
        });
        let operation = match admitted {
            Ok(operation) => operation,
            Err(refusal) if refusal.is_malformed() => {
                let why = refusal.to_string();
                return self.invalid(Invalid { id: Some(id), why }).await;
            }
            Err(refusal) => {
                let errors = &[refusal.to_error()];
                return self.say(&ServerMessage::Error { id: &id, errors }).await;
            }
        };
        let request_id = self.opened.id.clone();
        match self.operations.start(&id, operation, request_id, held) {
            Ok(()) => GO_ON,
            Err(Refused::Duplicate) => ControlFlow::Break(Some(Close::DuplicateOperation(id))),
            Err(Refused::TooMany(limit)) => {
                let why = format!(
                    "too many operations: a socket may have {limit} at once (http.websocket_operations)"
                );
                self.refuse(&id, Code::LimitExceeded, &why).await
            }
        }
    }

    /// Waits until the key that opened the socket is invalid.
    pub(super) async fn key_removed(&self) {
        match &self.who {
            Some(who) => who.removed.cancelled().await,
            None => pending().await,
        }
    }

    /// Ends the operations, drops their queued messages and closes the socket.
    pub(super) async fn leave_without_key(&self) -> Handled {
        self.operations.stop_all();
        self.reject(Close::KeyRemoved).await
    }

    /// Sends a keep-alive and expects a response; closes the socket if the client has not responded
    /// for too long.
    pub(super) async fn keep_alive(&mut self) -> Handled {
        let transport = &self.opened.server.transport;
        if self.heard.elapsed() > transport.keep_alive + transport.websocket_stall_timeout {
            return ControlFlow::Break(Some(Close::Stalled));
        }
        if self.who.is_some() {
            self.say(&ServerMessage::KeepAlive).await?;
        }
        let ping = Message::Ping(Vec::new().into());
        while_connected(self.frames.send(Frame::Control(Box::new(ping))).await)
    }

    async fn invalid(&mut self, Invalid { id, why }: Invalid) -> Handled {
        if !self.opened.protocol.forgives() || !self.has_begun() {
            return ControlFlow::Break(Some(Close::BadRequest(why)));
        }
        let Some(id) = id else {
            return self.say(&ServerMessage::ConnectionError(&why)).await;
        };
        // To the client an error is the end of the operation.
        self.operations.stop(&id);
        self.refuse(&id, Code::BadUserInput, &why).await
    }

    /// Reports that an operation is refused; others continue.
    async fn refuse(&self, id: &str, code: Code, why: &str) -> Handled {
        let response = coded(code, why, &self.opened.id);
        let errors = &response.errors;
        self.say(&ServerMessage::Error { id, errors }).await
    }

    /// Closes the socket, after an error message if the protocol has one.
    async fn reject(&self, close: Close) -> Handled {
        self.say(&ServerMessage::ConnectionError(&close.reason()))
            .await?;
        ControlFlow::Break(Some(close))
    }

    async fn say(&self, message: &ServerMessage<'_>) -> Handled {
        match self.opened.protocol.write(message) {
            Some(text) => while_connected(self.frames.send(Frame::Own(text)).await),
            None => GO_ON,
        }
    }
}

/// Continues while there is a writer, which ends when the client disconnects.
fn while_connected(sent: Result<(), Gone>) -> Handled {
    match sent {
        Ok(()) => GO_ON,
        Err(Gone) => ControlFlow::Break(None),
    }
}

/// Returns the `Authorization` of a `connection_init` payload, in any letter case.
fn authorization(payload: &RawValue) -> Option<String> {
    let entries: Map<String, Value> = serde_json::from_str(payload.get()).ok()?;
    let mut found = entries.into_iter();
    match found.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))? {
        (_, Value::String(authorization)) => Some(authorization),
        _ => None,
    }
}
