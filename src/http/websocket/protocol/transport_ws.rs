//! `graphql-transport-ws` (graphql-ws, PROTOCOL.md).

use super::envelope::{Envelope, NOTHING, write as envelope};
use super::{ClientMessage, Invalid, ServerMessage};

pub(super) const NAME: &str = "graphql-transport-ws";

pub(super) fn read(text: &str) -> Result<ClientMessage<'_>, Invalid> {
    let message = Envelope::read(text)?;
    Ok(match &*message.kind {
        "connection_init" => ClientMessage::Init(message.details()?),
        "ping" => ClientMessage::Ping(message.details()?),
        "pong" => {
            message.details()?;
            ClientMessage::Pong
        }
        "subscribe" => {
            let id = message.id()?;
            let payload = message.operation(&id)?;
            ClientMessage::Start { id, payload }
        }
        "complete" => ClientMessage::Stop { id: message.id()? },
        _ => return Err(message.unknown()),
    })
}

pub(super) fn write(message: &ServerMessage<'_>) -> Option<String> {
    match *message {
        ServerMessage::Ack => envelope("connection_ack", None, NOTHING),
        ServerMessage::Pong(payload) => envelope("pong", None, payload),
        ServerMessage::Next { id, response } => envelope("next", Some(id), Some(response)),
        ServerMessage::Error { id, errors } => envelope("error", Some(id), Some(errors)),
        ServerMessage::Complete { id } => envelope("complete", Some(id), NOTHING),
        // Pings are frames here, and errors are reported by closing.
        ServerMessage::KeepAlive | ServerMessage::ConnectionError(_) => None,
    }
}
