//! The HTTP client that only goes where the policy lets it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, RequestBuilder, Response};
use url::Url;

use super::policy::{EgressPolicy, Refusal};
use super::resolve::{GuardedResolver, Lookup};
use crate::tool::ToolError;

/// Idle connections kept for each host; models rarely go twice to the same.
const IDLE_CONNECTIONS_PER_HOST: usize = 4;
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds of the client.
#[derive(Debug, Clone)]
pub struct EgressLimits {
    /// The longest wait for a connection: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How many redirects are followed. With none, a redirect is the answer.
    pub redirects: usize,
}

/// An HTTP client that reaches what a policy allows, and knows no proxy.
#[derive(Clone)]
pub struct EgressClient {
    http: reqwest::Client,
    policy: Arc<EgressPolicy>,
}

impl EgressClient {
    /// Makes the client.
    ///
    /// # Errors
    /// When the platform's certificate roots cannot be loaded.
    pub fn new(
        policy: EgressPolicy,
        lookup: Arc<dyn Lookup>,
        limits: &EgressLimits,
    ) -> Result<Self, reqwest::Error> {
        // An error says that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(policy);
        let resolver = GuardedResolver {
            lookup,
            policy: Arc::clone(&policy),
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("talkgraph/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect_timeout)
            .redirect(redirects(Arc::clone(&policy), limits.redirects))
            .referer(false)
            .dns_resolver(Arc::new(resolver))
            // A proxy would resolve names itself, and reach what this server may not.
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            .build()?;
        Ok(Self { http, policy })
    }

    /// A request that is not sent yet.
    ///
    /// # Errors
    /// [`ToolError::Refused`] when the URL may not be reached.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, ToolError> {
        self.policy.check_url(&url)?;
        Ok(self.http.request(method, url))
    }

    /// Gets a URL; gives the response once its head is there.
    ///
    /// # Errors
    /// [`ToolError::Refused`] when the URL, or one that it redirects to, may not be reached.
    pub async fn get(&self, url: Url) -> Result<Response, ToolError> {
        send(self.request(Method::GET, url)?).await
    }
}

/// Sends a request of an [`EgressClient`]; gives the response once its head is there.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, ToolError> {
    request.send().await.map_err(into_tool_error)
}

fn redirects(policy: Arc<EgressPolicy>, most: usize) -> Policy {
    if most == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt: Attempt<'_>| {
        if attempt.previous().len() > most {
            return attempt.error(TooManyRedirects(most));
        }
        match policy.check_url(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    })
}

#[derive(Debug, thiserror::Error)]
#[error("there are more than {0} redirects")]
struct TooManyRedirects(usize);

/// Finds what the guard said, however deep in the client's error.
pub(super) fn into_tool_error(error: reqwest::Error) -> ToolError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return refusal.clone().into();
        }
        if let Some(too_many) = cause.downcast_ref::<TooManyRedirects>() {
            return ToolError::Failed(too_many.to_string());
        }
        source = cause.source();
    }
    let what = if error.is_timeout() {
        "nobody answered in time"
    } else if error.is_connect() {
        "no connection could be made"
    } else {
        "the connection broke"
    };
    ToolError::Unreachable {
        what,
        // Without the URL: it may have secrets.
        cause: causes(&error.without_url()),
    }
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
