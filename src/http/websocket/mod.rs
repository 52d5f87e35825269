//! GraphQL over WebSocket: the `graphql-transport-ws` protocol (graphql-ws, PROTOCOL.md).
//!
//! One task reads, one writes, and each operation has its own: an idle operation costs
//! nothing, and a busy one only its share of the queue to the writer.

mod connection;
mod operations;
mod protocol;
mod writer;

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;

use super::Server;
use super::csrf;
use super::error::Refusal;
use super::request_id::RequestId;
use crate::domain::Principal;

const PROTOCOL: &str = "graphql-transport-ws";

/// Upgrades a request. `who` is the caller if the upgrade request itself carried a known
/// key; browsers cannot send one there, so `connection_init` may carry it instead.
pub(super) fn upgrade(
    server: Arc<Server>,
    upgrade: WebSocketUpgrade,
    headers: &HeaderMap,
    id: RequestId,
    who: Option<Principal>,
) -> Result<Response, Refusal> {
    // A browser leaves it to the server to refuse pages of other origins.
    if !csrf::is_own_or_allowed(headers, &server.transport.cors_origins) {
        return Err(Refusal::foreign_origin());
    }
    let limit = server.transport.websocket_message_bytes;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit);
    if upgrade.selected_protocol().is_none() {
        return Err(Refusal::BadRequest(format!(
            "ask for the WebSocket subprotocol {PROTOCOL}"
        )));
    }
    Ok(upgrade.on_upgrade(move |socket| connection::serve(server, socket, id, who)))
}
