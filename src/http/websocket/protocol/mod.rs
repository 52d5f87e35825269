//! The two subprotocols of GraphQL over WebSocket, each with a codec between its own words
//! and those that the connection works with. A socket speaks the one it was opened with.

mod close;
mod envelope;
mod legacy;
mod transport_ws;

use async_graphql::{Response, ServerError};
use axum::http::HeaderValue;
use serde_json::value::RawValue;

pub(super) use close::Close;

/// What a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `graphql-transport-ws`, of the library graphql-ws.
    TransportWs,
    /// `graphql-ws`, of the library subscriptions-transport-ws.
    Legacy,
}

/// What a client says.
#[derive(Debug)]
pub(super) enum ClientMessage<'a> {
    Init(Option<&'a RawValue>),
    Ping(Option<&'a RawValue>),
    Pong,
    Start { id: String, payload: &'a RawValue },
    Stop { id: String },
    Terminate,
}

/// What the server says.
#[derive(Debug)]
pub(super) enum ServerMessage<'a> {
    Ack,
    KeepAlive,
    Pong(Option<&'a RawValue>),
    Next {
        id: &'a str,
        response: &'a Response,
    },
    /// Nothing was executed; the operation has ended.
    Error {
        id: &'a str,
        errors: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
    /// The connection is refused, or a message could not be read.
    ConnectionError(&'a str),
}

/// Why a message means nothing in the socket's protocol.
#[derive(Debug)]
pub(super) struct Invalid {
    /// The operation it names.
    pub(super) id: Option<String>,
    pub(super) why: String,
}

impl Protocol {
    /// The best first.
    pub(super) const NAMES: [&str; 2] = [transport_ws::NAME, legacy::NAME];

    pub(super) fn named(name: &HeaderValue) -> Option<Self> {
        if name == transport_ws::NAME {
            Some(Self::TransportWs)
        } else if name == legacy::NAME {
            Some(Self::Legacy)
        } else {
            None
        }
    }

    pub(super) fn read(self, text: &str) -> Result<ClientMessage<'_>, Invalid> {
        match self {
            Self::TransportWs => transport_ws::read(text),
            Self::Legacy => legacy::read(text),
        }
    }

    /// A message as text; none when the protocol has no such message.
    pub(super) fn write(self, message: &ServerMessage<'_>) -> Option<String> {
        match self {
            Self::TransportWs => transport_ws::write(message),
            Self::Legacy => legacy::write(message),
        }
    }

    /// Whether an invalid message is answered and the socket goes on.
    pub(super) fn forgives(self) -> bool {
        self == Self::Legacy
    }

    /// Whether a new operation takes the place of a live one with its id.
    pub(super) fn replaces(self) -> bool {
        self == Self::Legacy
    }

    /// Whether a client that stops an operation is told that it is complete.
    pub(super) fn confirms_stop(self) -> bool {
        self == Self::Legacy
    }
}
