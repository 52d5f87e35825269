//! What a client says on a socket, and what comes of it.

use std::future::pending;
use std::ops::ControlFlow;

use axum::extract::ws::Message;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::Opened;
use super::operations::Operations;
use super::protocol::{ClientMessage, Close, Invalid, ServerMessage};
use super::running::Refused;
use super::writer::Frame;
use crate::auth::{AuthError, Grant};
use crate::graphql::Code;
use crate::http::admit::admit;
use crate::http::open::SocketToken;
use crate::http::parameters::Parameters;
use crate::http::respond::coded;

/// Whether the socket goes on, or with what it is closed; with nothing when the client has
/// closed it or is gone.
pub(super) type Handled = ControlFlow<Option<Close>>;

const GO_ON: Handled = ControlFlow::Continue(());

/// The client of a socket.
pub(super) struct Client {
    opened: Opened,
    operations: Operations,
    frames: mpsc::Sender<Frame>,
    /// The caller, once `connection_init` was accepted.
    who: Option<Grant>,
    heard: Instant,
}

impl Client {
    pub(super) fn new(opened: Opened, operations: Operations, frames: mpsc::Sender<Frame>) -> Self {
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

    /// Ends its operations; its place is left.
    pub(super) fn end(self) -> SocketToken {
        self.opened.place
    }

    pub(super) async fn hear(&mut self, message: Message) -> Handled {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                let why = "Messages must be text".to_owned();
                return self.invalid(Invalid { id: None, why }).await;
            }
            // The socket answers pings itself.
            Message::Ping(_) | Message::Pong(_) => return GO_ON,
            Message::Close(_) => return ControlFlow::Break(None),
        };
        match self.opened.protocol.read(&text) {
            Ok(message) => self.act(message).await,
            Err(invalid) => self.invalid(invalid).await,
        }
    }

    async fn act(&mut self, message: ClientMessage<'_>) -> Handled {
        match message {
            ClientMessage::Init(payload) => self.init(payload).await,
            ClientMessage::Ping(payload) => self.say(&ServerMessage::Pong(payload)).await,
            ClientMessage::Pong => GO_ON,
            ClientMessage::Start { id, payload } => self.start(id, payload).await,
            ClientMessage::Stop { id } => {
                if self.operations.stop(&id) && self.opened.protocol.confirms_stop() {
                    return self.say(&ServerMessage::Complete { id: &id }).await;
                }
                GO_ON
            }
            ClientMessage::Terminate => ControlFlow::Break(Some(Close::Asked)),
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
        self.who = Some(who);
        self.say(&ServerMessage::Ack).await?;
        self.say(&ServerMessage::KeepAlive).await
    }

    async fn start(&mut self, id: String, payload: &RawValue) -> Handled {
        let Some(who) = &self.who else {
            return self.reject(Close::Unauthorized).await;
        };
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
        match self.operations.start(&id, operation, request_id) {
            Ok(()) => GO_ON,
            Err(Refused::Duplicate) => ControlFlow::Break(Some(Close::DuplicateOperation(id))),
            Err(Refused::TooMany(limit)) => {
                let why = format!("this socket may have {limit} operations at once");
                self.refuse(&id, Code::LimitExceeded, &why).await
            }
        }
    }

    /// Waits until the key that the socket was opened with is no longer valid.
    pub(super) async fn key_removed(&self) {
        match &self.who {
            Some(who) => who.removed.cancelled().await,
            None => pending().await,
        }
    }

    /// Ends its operations, drops what is queued of them, and closes the socket.
    pub(super) async fn leave_without_key(&self) -> Handled {
        self.operations.stop_all();
        self.reject(Close::KeyRemoved).await
    }

    /// Sends a sign of life and asks for one; gives up on a client that has given none for
    /// too long.
    pub(super) async fn keep_alive(&mut self) -> Handled {
        let transport = &self.opened.server.transport;
        if self.heard.elapsed() > transport.keep_alive + transport.websocket_stall_timeout {
            return ControlFlow::Break(Some(Close::Stalled));
        }
        if self.who.is_some() {
            self.say(&ServerMessage::KeepAlive).await?;
        }
        self.queue(Message::Ping(Vec::new().into())).await
    }

    async fn invalid(&mut self, Invalid { id, why }: Invalid) -> Handled {
        if !self.opened.protocol.forgives() {
            return ControlFlow::Break(Some(Close::BadRequest(why)));
        }
        let Some(id) = id else {
            return self.say(&ServerMessage::ConnectionError(&why)).await;
        };
        // To the client an error is the end of the operation.
        self.operations.stop(&id);
        self.refuse(&id, Code::BadUserInput, &why).await
    }

    /// Tells that an operation is refused; the others go on.
    async fn refuse(&self, id: &str, code: Code, why: &str) -> Handled {
        let response = coded(code, why, &self.opened.id);
        let errors = &response.errors;
        self.say(&ServerMessage::Error { id, errors }).await
    }

    /// Closes the socket, and says why before if the protocol has a message for that.
    async fn reject(&self, close: Close) -> Handled {
        self.say(&ServerMessage::ConnectionError(&close.reason()))
            .await?;
        ControlFlow::Break(Some(close))
    }

    async fn say(&self, message: &ServerMessage<'_>) -> Handled {
        match self.opened.protocol.write(message) {
            Some(text) => self.queue(Message::text(text)).await,
            None => GO_ON,
        }
    }

    async fn queue(&self, message: Message) -> Handled {
        match self.frames.send(Frame::Own(Box::new(message))).await {
            Ok(()) => GO_ON,
            // The writer has gone, because the client has.
            Err(_) => ControlFlow::Break(None),
        }
    }
}

/// `Authorization` of a `connection_init` payload, whatever its case.
fn authorization(payload: &RawValue) -> Option<String> {
    let entries: Map<String, Value> = serde_json::from_str(payload.get()).ok()?;
    let mut found = entries.into_iter();
    match found.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))? {
        (_, Value::String(authorization)) => Some(authorization),
        _ => None,
    }
}
