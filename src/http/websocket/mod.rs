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
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::Server;
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
    check_origin(&server, headers)?;
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

/// A browser names the page's origin and leaves it to the server to refuse: only the
/// server's own pages and the allowed origins get in.
fn check_origin(server: &Server, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, authority)| Some(authority) == host);
    if own || server.transport.cors_origins.contains(origin) {
        return Ok(());
    }
    Err(Refusal::Forbidden(
        "pages of this origin may not connect; http.cors_origins lists those that may".to_owned(),
    ))
}
