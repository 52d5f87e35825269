//! The messages of `graphql-transport-ws`.

use async_graphql::{Response, ServerError};
use axum::extract::ws::{CloseFrame, Utf8Bytes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit { payload: Option<Value> },
    Ping { payload: Option<Value> },
    Pong,
    Subscribe { id: String, payload: Value },
    Complete { id: String },
}

/// What the server sends.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<&'a Value>,
    },
    Next {
        id: &'a str,
        payload: &'a Response,
    },
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
}

impl ServerMessage<'_> {
    pub(super) fn to_text(&self) -> Option<Utf8Bytes> {
        match serde_json::to_string(self) {
            Ok(text) => Some(text.into()),
            Err(error) => {
                tracing::error!(%error, "a message could not be written");
                None
            }
        }
    }
}

/// Why the server closes a socket, in the protocol's codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Close {
    BadRequest(String),
    Unauthorized,
    Forbidden(String),
    InitTimeout,
    DuplicateOperation(String),
    TooManyInits,
    TooLarge,
    GoingAway,
    Stalled,
}

impl Close {
    pub(super) fn frame(&self) -> CloseFrame {
        let (code, reason) = match self {
            Self::BadRequest(why) => (4400, why.clone()),
            Self::Unauthorized => (4401, "Unauthorized".to_owned()),
            Self::Forbidden(why) => (4403, why.clone()),
            Self::InitTimeout => (4408, "Connection initialisation timeout".to_owned()),
            Self::DuplicateOperation(id) => (4409, format!("Subscriber for {id} already exists")),
            Self::TooManyInits => (4429, "Too many initialisation requests".to_owned()),
            Self::TooLarge => (1009, "Message too large".to_owned()),
            // Service restart: come back and go on from the last sequence (RFC 6455 registry).
            Self::GoingAway => (1012, "Server is stopping".to_owned()),
            Self::Stalled => (1008, "No answer to pings, or events left unread".to_owned()),
        };
        CloseFrame {
            code,
            reason: shortened(reason).into(),
        }
    }
}

/// A close reason has at most 123 bytes (RFC 6455, section 5.5).
fn shortened(mut reason: String) -> String {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
