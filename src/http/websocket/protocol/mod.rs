//! The two subprotocols of GraphQL over WebSocket, each with a codec between its messages and the
//! common ones. A socket uses the one negotiated in its upgrade.

mod close;
mod envelope;
mod legacy;
mod transport_ws;

use async_graphql::{Response, ServerError};
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;

pub(super) use close::Close;

/// The subprotocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `graphql-transport-ws`, of the library graphql-ws.
    TransportWs,
    /// `graphql-ws`, of the library subscriptions-transport-ws.
    Legacy,
}

/// A message from a client.
#[derive(Debug)]
pub(super) enum ClientMessage<'a> {
    Init(Option<&'a RawValue>),
    Ping(Option<&'a RawValue>),
    Pong,
    Start { id: String, payload: &'a RawValue },
    Stop { id: String },
    Terminate,
}

/// A message from the server.
#[derive(Debug)]
pub(super) enum ServerMessage<'a> {
    Ack,
    KeepAlive,
    Pong(Option<&'a RawValue>),
    Next {
        id: &'a str,
        response: &'a Response,
    },
    /// Reports that nothing was executed and the operation has ended.
    Error {
        id: &'a str,
        errors: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
    /// Reports that the connection is refused or a message is invalid.
    ConnectionError(&'a str),
}

/// The reason for which a message is invalid in the socket's protocol.
#[derive(Debug)]
pub(super) struct Invalid {
    /// The operation that the message names.
    pub(super) id: Option<String>,
    pub(super) why: String,
}

impl Protocol {
    /// Selects the preferred protocol of those that an upgrade request names.
    pub(super) fn asked_for(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let names = || {
            let values = values.iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',').map(str::trim))
        };
        let best_first = [Self::TransportWs, Self::Legacy];
        let is_named = |protocol: &Self| names().any(|name| name == protocol.name());
        best_first.into_iter().find(is_named)
    }

    /// Returns the protocol's name in an upgrade request.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TransportWs => transport_ws::NAME,
            Self::Legacy => legacy::NAME,
        }
    }

    pub(super) fn read(self, text: &str) -> Result<ClientMessage<'_>, Invalid> {
        match self {
            Self::TransportWs => transport_ws::read(text),
            Self::Legacy => legacy::read(text),
        }
    }

    /// Encodes a message; `None` if the protocol has no such message.
    pub(super) fn write(self, message: &ServerMessage<'_>) -> Option<String> {
        match self {
            Self::TransportWs => transport_ws::write(message),
            Self::Legacy => legacy::write(message),
        }
    }

    /// Returns true if an invalid message is answered and the socket stays open.
    pub(super) fn forgives(self) -> bool {
        self == Self::Legacy
    }

    /// Returns true if a new operation replaces an active one with its id.
    pub(super) fn replaces(self) -> bool {
        self == Self::Legacy
    }

    /// Returns true if the server confirms a client's stop with `complete`.
    pub(super) fn confirms_stop(self) -> bool {
        self == Self::Legacy
    }
}
