//! How requests come in, from the settings.

use axum::http::HeaderValue;

use crate::config::{ConfigError, Settings, ms};
use crate::guard::Trust;
use crate::http::Transport;

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
        cors_origins: origins.collect::<Result<_, _>>()?,
        introspection: settings.introspection && !only_trusted,
        graphiql: settings.graphiql && settings.introspection && !only_trusted,
        ready_timeout: ms(settings.ready_timeout_ms),
        keep_alive: ms(settings.keep_alive_ms),
        stream_stall_timeout: ms(settings.stream_stall_timeout_ms),
        streams: settings.streams,
        websocket_init_timeout: ms(settings.websocket_init_timeout_ms),
        websocket_message_bytes: settings.websocket_message_bytes,
        websocket_operations: settings.websocket_operations,
        websocket_connections: settings.websocket_connections,
        websocket_connections_total: settings.websocket_connections_total,
        websocket_stall_timeout: ms(settings.websocket_stall_timeout_ms),
    })
}

/// Scheme and authority, nothing after it (RFC 6454, section 6.1).
fn is_origin(origin: &str) -> bool {
    let rest = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    rest.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
}
