//! The HTTP client that connects only where the policy allows.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header, response::Parts};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Body, Method, Request, RequestBuilder, Response, ResponseBuilderExt};
use url::Url;

use super::policy::{EgressPolicy, Refusal};
use super::resolve::{GuardedResolver, Lookup};
use super::tunnel::{self, GuardedConnector, ProxiedClient, ProxyTarget};
use crate::ToolError;
use talkgraph_proxy::Proxies;

const USER_AGENT: &str = concat!("talkgraph/", env!("CARGO_PKG_VERSION"));

/// Idle connections kept for each host; models rarely go twice to the same.
const IDLE_CONNECTIONS_PER_HOST: usize = 4;
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Limits of the client, and its proxies.
#[derive(Debug, Clone)]
pub struct EgressLimits {
    /// The longest wait for a connection: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The maximum number of redirects. With 0, a redirect is returned as the response.
    pub redirects: usize,
    /// The proxies on the way, if any.
    pub proxies: Arc<Proxies>,
    /// The form of target that proxies are asked for.
    pub proxy_target: ProxyTarget,
}

/// An HTTP client that reaches only what a policy allows.
#[derive(Clone)]
pub struct EgressClient {
    http: reqwest::Client,
    /// Used instead of the direct client where there are proxies, which would be asked for names
    /// otherwise.
    proxied: Option<ProxiedClient>,
    redirects: usize,
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
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        // The only error is that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(policy);
        let resolver = GuardedResolver {
            lookup,
            policy: Arc::clone(&policy),
        };
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(limits.connect_timeout)
            .redirect(redirects(Arc::clone(&policy), limits.redirects))
            .referer(false)
            .dns_resolver(Arc::new(resolver.clone()))
            // A proxy would resolve names itself, and reach what this server may not.
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            .build()?;
        let proxied = match limits.proxies.is_empty() {
            true => None,
            false => Some(tunnel::client(GuardedConnector::new(
                Arc::clone(&limits.proxies),
                limits.proxy_target,
                resolver,
                limits.connect_timeout,
            )?)?),
        };
        Ok(Self {
            http,
            proxied,
            redirects: limits.redirects,
            policy,
        })
    }

    /// Creates a request.
    ///
    /// # Errors [`ToolError::Refused`] when the URL may not be reached.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, ToolError> {
        self.policy.check_url(&url)?;
        Ok(self.http.request(method, url))
    }

    /// Sends a request; returns the response once its headers have arrived.
    ///
    /// # Errors [`ToolError::Refused`] when a URL that it redirects to may not be reached.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ToolError> {
        match &self.proxied {
            None => request.send().await.map_err(into_tool_error),
            Some(client) => {
                let request = request.build().map_err(into_tool_error)?;
                self.send_proxied(client, request).await
            }
        }
    }

    async fn send_proxied(
        &self,
        client: &ProxiedClient,
        mut request: Request,
    ) -> Result<Response, ToolError> {
        let agent = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        for _ in 0..=self.redirects {
            // Only a request without a body can be sent again.
            let again = request.try_clone();
            let url = request.url().clone();
            let sent = http::Request::try_from(request).map_err(into_tool_error)?;
            let response = client
                .request(sent)
                .await
                .map_err(|error| of_error(&error))?;
            let (head, body) = response.into_parts();
            let next = again.and_then(|again| redirected(again, &head, &url));
            let Some(next) = next.filter(|_| self.redirects > 0) else {
                let builder = http::Response::builder().url(url);
                let mut response = builder
                    .status(head.status)
                    .body(Body::wrap(body))
                    .map_err(ToolError::internal)?;
                *response.headers_mut() = head.headers;
                return Ok(response.into());
            };
            self.policy.check_url(next.url())?;
            request = next;
        }
        Err(ToolError::Failed(
            TooManyRedirects(self.redirects).to_string(),
        ))
    }

    /// Gets a URL; returns the response once its headers have arrived.
    ///
    /// # Errors [`ToolError::Refused`] when the URL, or one that it redirects to, may not be
    /// reached.
    pub async fn get(&self, url: Url) -> Result<Response, ToolError> {
        self.send(self.request(Method::GET, url)?).await
    }
}

/// The request that a redirect of a GET leads to.
fn redirected(mut request: Request, head: &Parts, url: &Url) -> Option<Request> {
    let is_redirect = matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if !is_redirect || request.method() != Method::GET {
        return None;
    }
    let location = head.headers.get(header::LOCATION)?.to_str().ok()?;
    let next = url.join(location).ok()?;
    if next.origin() != url.origin() {
        for secret in [header::AUTHORIZATION, header::COOKIE] {
            request.headers_mut().remove(secret);
        }
    }
    *request.url_mut() = next;
    Some(request)
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

/// The refusal of the guard, at any depth of an error's causes.
pub(super) fn refusal_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refusal> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}

/// The error of the direct client.
pub(super) fn into_tool_error(error: reqwest::Error) -> ToolError {
    if let Some(refusal) = refusal_in(&error) {
        return refusal.clone().into();
    }
    let mut source = error.source();
    while let Some(cause) = source {
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

/// The error of the client with proxies.
fn of_error(error: &hyper_util::client::legacy::Error) -> ToolError {
    if let Some(refusal) = refusal_in(error) {
        return refusal.clone().into();
    }
    let what = match error.is_connect() {
        true => "no connection could be made",
        false => "the connection broke",
    };
    ToolError::Unreachable {
        what,
        cause: causes(error),
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
