//! GraphQL over WebSocket, in the subprotocols `graphql-transport-ws` and, for old clients,
//! `graphql-ws`.
//!
//! One task reads, one writes, and each operation has its own: an idle operation costs
//! nothing, and a busy one only its share of the queue to the writer.

mod client;
mod closing;
mod connection;
mod operations;
mod outbox;
mod protocol;
mod running;
mod wire;
mod writer;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use self::connection::{Connection, Opened};
use self::protocol::{Close, Protocol};
use super::Server;
use super::csrf;
use super::error::Refusal;
use super::request_id::RequestId;
use crate::auth::Grant;
use talkgraph_tools::CallerHeaders;
use talkgraph_watchdog::{Task, watched};

/// Returns true if a request is a WebSocket upgrade.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let asked = headers.get(header::UPGRADE);
    asked.is_some_and(|asked| asked.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades a request. `who` is the caller if the upgrade request itself carried a known key;
/// browsers cannot send one there, so `connection_init` may carry it instead.
pub(super) fn upgrade(
    server: Arc<Server>,
    mut request: Request,
    id: RequestId,
    who: Option<Grant>,
) -> Result<Response, Refusal> {
    // Browsers leave it to the server to reject pages of other origins.
    if !csrf::is_own_or_allowed(request.headers(), &server.transport.cors_origins) {
        return Err(Refusal::foreign_origin());
    }
    let mut response = create_response_with_body(&request, Body::empty)
        .map_err(|error| Refusal::BadRequest(format!("not a valid WebSocket upgrade: {error}")))?;
    let tenant = who.as_ref().map(|who| Arc::clone(&who.principal.tenant));
    server
        .in_flight
        .admit(&tenant.unwrap_or_else(wire::no_tenant))?;
    let most = server.transport.websocket_connections_total;
    let place = server.streams.socket(most).ok_or_else(|| {
        Refusal::Unavailable(format!(
            "{most} WebSockets are open, as many as http.websocket_connections_total allows; \
             try again later"
        ))
    })?;
    let protocol = Protocol::asked_for(request.headers());
    if let Some(protocol) = protocol {
        let name = HeaderValue::from_static(protocol.name());
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let headers = CallerHeaders::of(request.headers(), &server.forward_headers);
    // In a separate task: the one that waits for the upgrade is as large as its captures.
    tokio::spawn(async move {
        let upgraded = match upgraded.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "failed to open websocket"),
        };
        let most = server.transport.websocket_message_bytes;
        let (socket, meter) = wire::open(upgraded, most, &server.in_flight).await;
        let Some(protocol) = protocol else {
            closing::refuse(socket, &Close::NoProtocol).await;
            return drop(place);
        };
        let opened = Opened {
            server,
            protocol,
            place,
            id,
            who,
            headers,
            meter,
        };
        let task = Task::of("a socket", &opened.id.0);
        tokio::spawn(watched(task, Connection::new(opened, socket).serve()));
    });
    Ok(response)
}
