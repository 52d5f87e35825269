//! The HTTP client that every model provider shares.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;

use super::LlmError;
use talkgraph_proxy::Proxies;
use talkgraph_resilience::retry_after;

/// Settings of connections to providers.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The longest wait for a connection: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The proxies, which are the only way to providers in many networks.
    pub proxies: Arc<Proxies>,
}

/// Idle connections kept for each provider. HTTP/1.1 takes one connection per answer, so
/// this is also the number of concurrent answers that need no new TLS handshake.
const IDLE_CONNECTIONS_PER_HOST: usize = 1024;
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the client; called once per process, since it holds the pool of connections.
///
/// There is no time-out for a whole call here: each provider has its own setting. Certificates are
/// checked with the platform's own roots.
///
/// # Errors When the platform's certificate roots cannot be loaded.
pub fn http_client(settings: &HttpSettings) -> Result<reqwest::Client, reqwest::Error> {
    // The only error is that the process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    settings
        .proxies
        .apply(reqwest::Client::builder())
        .user_agent(concat!("talkgraph/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        // A redirect would carry the prompt to a host that is not configured.
        .redirect(Policy::none())
        .referer(false)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        // All answers of an HTTP/2 provider share a connection: a dead one would fail every run,
        // each after its own time-out.
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build()
}

/// The pairs of headers with the number of calls left, and the time until the limit is reset:
/// OpenAI's and Groq's (<https://developers.openai.com/api/docs/guides/rate-limits>).
const LIMITS: [(&str, &str); 2] = [
    (
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
];

/// The same with the time of the reset instead (OpenRouter).
const LIMIT: (&str, &str) = ("x-ratelimit-remaining", "x-ratelimit-reset");

/// The wait that a response requests before the next call. `retry-after-ms` is Azure's, and the
/// more exact one; if neither is present, an exhausted limit is over when it is reset.
pub(crate) fn retry_after_of(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let exact = text("retry-after-ms").and_then(retry_after::parse_milliseconds);
    let usual = || retry_after::parse(text(RETRY_AFTER.as_str())?, now);
    let is_used_up = |name: &str| text(name).is_some_and(|left| left.trim() == "0");
    let resets = || {
        let used_up = LIMITS.iter().filter(|(left, _)| is_used_up(left));
        let waits = used_up.filter_map(|(_, reset)| retry_after::parse_duration(text(reset)?));
        waits.max()
    };
    let reset = || {
        let moment = text(LIMIT.1).filter(|_| is_used_up(LIMIT.0))?;
        // A short number is a duration, whose unit differs between servers.
        let is_moment = moment.trim().len() >= 10;
        retry_after::until(moment, now).filter(|_| is_moment)
    };
    exact.or_else(usual).or_else(resets).or_else(reset)
}

/// The causes of an error, outermost first.
pub(crate) fn causes(error: &dyn std::error::Error) -> Option<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Wrappers repeat the text of their cause.
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        source = cause.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

/// The headers with a vendor's id of the request: OpenAI, Mistral, and most servers behind a proxy;
/// Anthropic; Google; Azure; Amazon; Cloudflare's as the last resort.
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

/// The provider's own id of a request; none if there is none that may be logged.
pub(crate) fn request_id_of(headers: &HeaderMap) -> Option<&str> {
    let is_sound = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let ids = REQUEST_IDS.iter().filter_map(|name| headers.get(*name));
    ids.filter_map(|id| id.to_str().ok()).find(is_sound)
}

/// The error of a call without a response.
pub(crate) fn unanswered(error: &reqwest::Error) -> LlmError {
    match error {
        error if error.is_builder() => LlmError::Internal,
        error if error.is_connect() && error.is_timeout() => LlmError::ConnectTimeout,
        error if error.is_connect() => LlmError::Unreachable,
        _ => LlmError::Unavailable,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn requested_wait_is_found() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (headers, wait) in [
            (&[("retry-after", "2")][..], Some(2_000)),
            (&[("retry-after", "0.25")], Some(250)),
            (
                &[("retry-after-ms", "1500"), ("retry-after", "2")],
                Some(1_500),
            ),
            (
                &[("retry-after-ms", "soon"), ("retry-after", "2")],
                Some(2_000),
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                Some(360_000),
            ),
            (
                &[
                    ("x-ratelimit-remaining-tokens", "12"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                None,
            ),
            (
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1700000003000"),
                ],
                Some(3_000),
            ),
            (
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")],
                None,
            ),
            (&[], None),
        ] {
            let map = headers.iter().map(|(name, value)| {
                let name = reqwest::header::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            });
            let found = retry_after_of(&map.collect(), now);
            assert_eq!(found.map(|wait| wait.as_millis()), wait, "{headers:?}");
        }
    }
}
