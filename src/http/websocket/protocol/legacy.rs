//! `graphql-ws` (subscriptions-transport-ws, PROTOCOL.md), for old clients.

use serde_json::json;

use super::envelope::{Envelope, NOTHING, write as envelope};
use super::{ClientMessage, Invalid, ServerMessage};

pub(super) const NAME: &str = "graphql-ws";

pub(super) fn read(text: &str) -> Result<ClientMessage<'_>, Invalid> {
    let message = Envelope::read(text)?;
    Ok(match &*message.kind {
        "connection_init" => ClientMessage::Init(message.details()?),
        "start" => {
            let id = message.id()?;
            let payload = message.operation(&id)?;
            ClientMessage::Start { id, payload }
        }
        "stop" => ClientMessage::Stop { id: message.id()? },
        "connection_terminate" => ClientMessage::Terminate,
        _ => return Err(message.unknown()),
    })
}

pub(super) fn write(message: &ServerMessage<'_>) -> Option<String> {
    match *message {
        ServerMessage::Ack => envelope("connection_ack", None, NOTHING),
        ServerMessage::KeepAlive => envelope("ka", None, NOTHING),
        ServerMessage::Next { id, response } => envelope("data", Some(id), Some(response)),
        // One error: clients take the payload for the error itself.
        ServerMessage::Error { id, errors } => envelope("error", Some(id), errors.first()),
        ServerMessage::Complete { id } => envelope("complete", Some(id), NOTHING),
        ServerMessage::ConnectionError(message) => {
            let payload = json!({ "message": message });
            envelope("connection_error", None, Some(payload))
        }
        // No client of this protocol sends pings.
        ServerMessage::Pong(_) => None,
    }
}
