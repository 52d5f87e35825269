//! One socket, from `connection_init` to its end.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::operations::{Operations, Refused};
use super::protocol::{ClientMessage, Close, ServerMessage};
use super::writer;
use crate::domain::Principal;
use crate::http::Server;
use crate::http::admit::admit;
use crate::http::parameters::Parameters;
use crate::http::request_id::RequestId;

pub(super) async fn serve(
    server: Arc<Server>,
    socket: WebSocket,
    id: RequestId,
    who: Option<Principal>,
) {
    let (sink, mut incoming) = socket.split();
    let (frames, queued) = mpsc::channel(writer::QUEUE);
    let mut writing = tokio::spawn(writer::write(
        sink,
        queued,
        server.transport.websocket_stall_timeout,
    ));
    let mut connection = Connection {
        operations: Operations::new(Arc::clone(&server), frames.clone()),
        upgrade_caller: who,
        caller: None,
        heard: Instant::now(),
        server: Arc::clone(&server),
        frames,
        id,
    };
    let transport = &server.transport;
    let opened = Instant::now();
    let mut pings = interval_at(opened + transport.keep_alive, transport.keep_alive);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let close = loop {
        let handled = tokio::select! {
            message = incoming.next() => match message {
                Some(Ok(message)) => connection.handle(message).await,
                Some(Err(error)) if is_too_large(&error) => ControlFlow::Break(Some(Close::TooLarge)),
                Some(Err(_)) | None => ControlFlow::Break(None),
            },
            () = sleep_until(opened + transport.websocket_init_timeout),
                if connection.caller.is_none() => ControlFlow::Break(Some(Close::InitTimeout)),
            _ = pings.tick() => connection.ping().await,
            // A writer that gave up has nobody to write to.
            _ = &mut writing => return,
            () = server.stopping.cancelled() => ControlFlow::Break(Some(Close::GoingAway)),
        };
        if let ControlFlow::Break(close) = handled {
            break close;
        }
    };
    let frames = connection.frames.clone();
    drop(connection);
    if let Some(close) = close {
        tracing::debug!(?close, "closing a socket");
        let _ = frames.send(Message::Close(Some(close.frame()))).await;
    }
    drop(frames);
    if let Err(error) = writing.await {
        tracing::error!(%error, "a socket's writer ended badly");
    }
}

struct Connection {
    server: Arc<Server>,
    frames: mpsc::Sender<Message>,
    id: RequestId,
    /// Who the upgrade request said it was.
    upgrade_caller: Option<Principal>,
    /// Who it is, once `connection_init` was accepted.
    caller: Option<Principal>,
    operations: Operations,
    heard: Instant,
}

type Handled = ControlFlow<Option<Close>>;

impl Connection {
    async fn handle(&mut self, message: Message) -> Handled {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                let why = "Messages must be text".to_owned();
                return ControlFlow::Break(Some(Close::BadRequest(why)));
            }
            // The socket answers pings itself.
            Message::Ping(_) | Message::Pong(_) => return ControlFlow::Continue(()),
            Message::Close(_) => return ControlFlow::Break(None),
        };
        match serde_json::from_str(&text) {
            Ok(message) => self.act(message).await,
            Err(_) => {
                let why = "Invalid message received".to_owned();
                ControlFlow::Break(Some(Close::BadRequest(why)))
            }
        }
    }

    async fn act(&mut self, message: ClientMessage) -> Handled {
        match message {
            ClientMessage::ConnectionInit { payload } => self.init(payload.as_ref()).await,
            ClientMessage::Ping { payload } => {
                let payload = payload.as_ref();
                self.send(&ServerMessage::Pong { payload }).await
            }
            ClientMessage::Pong => ControlFlow::Continue(()),
            ClientMessage::Complete { id } => {
                self.operations.stop(&id);
                ControlFlow::Continue(())
            }
            ClientMessage::Subscribe { id, payload } => {
                let Some(who) = &self.caller else {
                    return ControlFlow::Break(Some(Close::Unauthorized));
                };
                let payload = payload.to_string();
                let admitted = Parameters::from_json(payload.as_bytes())
                    .map(|parameters| admit(&self.server, &parameters, who));
                let operation = match admitted {
                    Ok(Ok(operation)) => operation,
                    Ok(Err(refusal)) => {
                        let payload = &[refusal.to_error()];
                        return self.send(&ServerMessage::Error { id: &id, payload }).await;
                    }
                    Err(refusal) => {
                        let why = refusal.to_string();
                        return ControlFlow::Break(Some(Close::BadRequest(why)));
                    }
                };
                match self
                    .operations
                    .start(id.clone(), operation, self.id.clone())
                {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(Refused::Duplicate) => {
                        ControlFlow::Break(Some(Close::DuplicateOperation(id)))
                    }
                    Err(Refused::TooMany(limit)) => {
                        self.operations.refuse(&id, limit, &self.id).await;
                        ControlFlow::Continue(())
                    }
                }
            }
        }
    }

    async fn init(&mut self, payload: Option<&Value>) -> Handled {
        if self.caller.is_some() {
            return ControlFlow::Break(Some(Close::TooManyInits));
        }
        let given = payload.and_then(authorization);
        let caller = match (given, &self.upgrade_caller) {
            (None, Some(who)) => Ok(who.clone()),
            (given, _) => self.server.authenticator.authenticate(given),
        };
        match caller {
            Ok(who) => {
                self.caller = Some(who);
                self.send(&ServerMessage::ConnectionAck).await
            }
            Err(error) => ControlFlow::Break(Some(Close::Forbidden(error.to_string()))),
        }
    }

    /// Asks for a sign of life, and gives up on a client that has given none for too long.
    async fn ping(&mut self) -> Handled {
        let transport = &self.server.transport;
        if self.heard.elapsed() > transport.keep_alive + transport.websocket_stall_timeout {
            return ControlFlow::Break(Some(Close::Stalled));
        }
        let sent = self.frames.send(Message::Ping(Vec::new().into())).await;
        if sent.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(None)
        }
    }

    async fn send(&self, message: &ServerMessage<'_>) -> Handled {
        let Some(text) = message.to_text() else {
            return ControlFlow::Continue(());
        };
        let sent = self.frames.send(Message::Text(text)).await;
        if sent.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(None)
        }
    }
}

/// `Authorization` of a `connection_init` payload, whatever its case.
fn authorization(payload: &Value) -> Option<&str> {
    let entries = payload.as_object()?.iter();
    let mut found = entries.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    found.next()?.1.as_str()
}

fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
}
