//! The transports, from the settings.

use std::net::IpAddr;

use axum::http::HeaderValue;

use crate::config::{ConfigError, Settings, ms};
use crate::guard::Trust;
use crate::http::{Hosts, Transport};

pub(super) fn transport(all: &Settings) -> Result<Transport, ConfigError> {
    let settings = &all.http;
    let only_trusted = all.documents.trusted_documents == Trust::Only;
    let origins = settings.cors_origins.iter().map(|origin| {
        let value = HeaderValue::from_str(origin)
            .ok()
            .filter(|_| is_origin(origin));
        value.ok_or_else(|| {
            let why = format!("{origin:?} must be an origin such as https://app.example.com");
            ConfigError::invalid("http.cors_origins", why)
        })
    });
    Ok(Transport {
        body_limit: settings.body_limit_bytes,
        body_timeout: ms(settings.body_timeout_ms),
        query_timeout: ms(settings.query_timeout_ms),
        request_timeout: ms(settings.request_timeout_ms),
        errors: all.limits.errors,
        hosts: hosts(all)?,
        cors_origins: origins.collect::<Result<_, _>>()?,
        introspection: settings.introspection && !only_trusted,
        graphiql: settings.graphiql && settings.introspection && !only_trusted,
        ready_timeout: ms(settings.ready_timeout_ms),
        keep_alive: ms(settings.keep_alive_ms),
        stream_stall_timeout: ms(settings.stream_stall_timeout_ms),
        streams: settings.streams,
        streams_total: settings.streams_total,
        websocket_init_timeout: ms(settings.websocket_init_timeout_ms),
        websocket_message_bytes: settings.websocket_message_bytes,
        websocket_queue_bytes: settings.websocket_queue_bytes,
        websocket_operations: settings.websocket_operations,
        websocket_connections: settings.websocket_connections,
        websocket_connections_total: settings.websocket_connections_total,
        websocket_stall_timeout: ms(settings.websocket_stall_timeout_ms),
    })
}

/// The names of a server on its own machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A server with keys that lists no names accepts any: a page of another site has no key.
fn hosts(all: &Settings) -> Result<Option<Hosts>, ConfigError> {
    let more = &all.http.hosts;
    if more.is_empty() && !all.auth.keys.is_empty() {
        return Ok(None);
    }
    let own = match all.http.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let local = LOCAL.map(str::to_owned).into_iter().chain([own]);
    let names = local.chain(more.iter().map(|name| name.to_ascii_lowercase()));
    Hosts::new(names).map(Some).map_err(|name| {
        let why = format!("{name:?} must be a host name without scheme and port");
        ConfigError::invalid("http.hosts", why)
    })
}

/// Scheme and authority, nothing after it (RFC 6454, section 6.1).
fn is_origin(origin: &str) -> bool {
    let rest = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    rest.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
}
