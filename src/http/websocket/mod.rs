//! GraphQL over WebSocket, in the subprotocols `graphql-transport-ws` and, for old clients,
//! `graphql-ws`.
//!
//! One task reads, one writes, and each operation has its own: an idle operation costs
//! nothing, and a busy one only its share of the queue to the writer.

mod client;
mod closing;
mod connection;
mod operations;
mod protocol;
mod running;
mod writer;

use std::future::ready;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;

use self::connection::{Connection, Opened};
use self::protocol::{Close, Protocol};
use super::Server;
use super::csrf;
use super::error::Refusal;
use super::request_id::RequestId;
use crate::auth::Grant;
use crate::tool::CallerHeaders;

/// How much is read at once, in bytes: as much as most operations take. Every socket keeps a
/// buffer of this size, all of it in memory, because it is filled with zeros for each read.
const READ_BUFFER: usize = 2 * 1024;

/// Upgrades a request. `who` is the caller if the upgrade request itself carried a known
/// key; browsers cannot send one there, so `connection_init` may carry it instead.
pub(super) fn upgrade(
    server: Arc<Server>,
    upgrade: WebSocketUpgrade,
    headers: &HeaderMap,
    id: RequestId,
    who: Option<Grant>,
) -> Result<Response, Refusal> {
    // A browser leaves it to the server to refuse pages of other origins.
    if !csrf::is_own_or_allowed(headers, &server.transport.cors_origins) {
        return Err(Refusal::foreign_origin());
    }
    let most = server.transport.websocket_connections_total;
    let place = server.streams.socket(most).ok_or_else(|| {
        Refusal::Unavailable(format!(
            "{most} WebSockets are open, as many as http.websocket_connections_total allows; \
             try again later"
        ))
    })?;
    let headers = CallerHeaders::of(headers, &server.forward_headers);
    let limit = server.transport.websocket_message_bytes;
    let upgrade = upgrade
        .protocols(Protocol::NAMES)
        .read_buffer_size(READ_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_failed_upgrade(|error| tracing::debug!(%error, "a socket was not opened"));
    let protocol = upgrade.selected_protocol().and_then(Protocol::named);
    // In a task of its own: the one that waits for the upgrade is as large as all that it knows.
    Ok(upgrade.on_upgrade(move |socket| {
        match protocol {
            Some(protocol) => {
                let opened = Opened {
                    server,
                    protocol,
                    place,
                    id,
                    who,
                    headers,
                };
                tokio::spawn(Connection::new(opened, socket).serve());
            }
            None => {
                tokio::spawn(async move {
                    closing::refuse(socket, &Close::NoProtocol).await;
                    drop(place);
                });
            }
        }
        ready(())
    }))
}
