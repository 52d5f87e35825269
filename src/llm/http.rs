//! The HTTP client that every model provider shares.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;

use super::LlmError;
use crate::resilience::retry_after;

/// How connections to providers are made.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The longest wait for a connection: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are obeyed. Many
    /// a network reaches providers in no other way, so a server should; a test, whose
    /// provider is on this host, should not.
    pub proxy_from_env: bool,
}

/// Idle connections kept for each provider. HTTP/1.1 takes one connection per answer, so
/// this is also the number of concurrent answers that need no new TLS handshake.
const IDLE_CONNECTIONS_PER_HOST: usize = 1024;
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the client; once per process, as it holds the pool of connections.
///
/// There is no time-out for a whole call here: how long a model may take is each
/// provider's setting. Certificates are checked with the platform's own roots.
///
/// # Errors
/// When the platform's certificate roots cannot be loaded.
pub fn http_client(settings: &HttpSettings) -> Result<reqwest::Client, reqwest::Error> {
    // An error says that the process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("talkgraph/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        // A redirect would carry the prompt to a host that nobody configured.
        .redirect(Policy::none())
        .referer(false)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        // All answers of an HTTP/2 provider share a connection: one that died silently
        // would take every run with it, each waiting for its own time-out.
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    let builder = if settings.proxy_from_env {
        builder
    } else {
        builder.no_proxy()
    };
    builder.build()
}

/// How long an answer asks to wait before the next request.
pub(crate) fn retry_after_of(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after::parse(value, SystemTime::now())
}

/// The headers with which vendors give the id of a request: OpenAI, Mistral, and most servers
/// behind a proxy; Anthropic; Google; Azure; Amazon; Cloudflare's, for lack of another.
const REQUEST_IDS: [&str; 6] = [
    "x-request-id",
    "request-id",
    "x-goog-request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "cf-ray",
];

/// The longest id that is logged, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The provider's own id of a request; none where there is none that can be logged.
pub(crate) fn request_id_of(headers: &HeaderMap) -> Option<&str> {
    let is_sound = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let ids = REQUEST_IDS.iter().filter_map(|name| headers.get(*name));
    ids.filter_map(|id| id.to_str().ok()).find(is_sound)
}

/// Why there was no answer, not even a status.
pub(crate) fn unanswered(error: &reqwest::Error) -> LlmError {
    match error {
        error if error.is_builder() => LlmError::Internal,
        error if error.is_connect() && error.is_timeout() => LlmError::ConnectTimeout,
        error if error.is_connect() => LlmError::Unreachable,
        _ => LlmError::Unavailable,
    }
}
