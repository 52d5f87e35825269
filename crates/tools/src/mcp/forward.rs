//! The HTTP client of MCP servers, which forwards headers of the caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use sse_stream::Sse;
use tokio::sync::Notify;

use super::http_answers::Asked;
use talkgraph_proxy::Proxies;

type Failure = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// The redirects that are followed for one message.
const REDIRECTS: usize = 3;

/// The headers that go with one message, in the message's extensions.
#[derive(Debug, Clone)]
pub(super) struct Forwarded(pub(super) HeaderMap);

/// reqwest's client, with the headers that a message carries.
#[derive(Clone)]
pub(super) struct ForwardingClient {
    http: reqwest::Client,
    /// Notified when a session is lost: its server may have been restarted with other tools.
    renewed: Arc<Notify>,
}

impl ForwardingClient {
    /// Creates the client. The settings alone decide its target: nothing is resolved for a model,
    /// and a redirect to another origin would leak secrets to it. Frameworks redirect `/mcp` to
    /// `/mcp/`, which is followed.
    pub(super) fn new(
        connect_timeout: Duration,
        proxies: &Arc<Proxies>,
        renewed: Arc<Notify>,
    ) -> Result<Self, reqwest::Error> {
        // The only error is that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = proxies
            .apply(reqwest::Client::builder())
            .user_agent(concat!("talkgraph/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .redirect(same_origin())
            .referer(false)
            .build()?;
        Ok(Self { http, renewed })
    }
}

/// Follows redirects within the origin that keep the message.
fn same_origin() -> Policy {
    Policy::custom(|attempt| {
        let keeps_message = matches!(attempt.status().as_u16(), 307 | 308);
        let first = attempt.previous().first();
        let same_origin = first.is_some_and(|first| first.origin() == attempt.url().origin());
        match keeps_message && same_origin && attempt.previous().len() <= REDIRECTS {
            true => attempt.follow(),
            false => attempt.stop(),
        }
    })
}

/// The usual headers and those that a message carries; the settings take precedence.
fn with_forwarded(message: &ClientJsonRpcMessage, usual: Headers) -> Headers {
    let ClientJsonRpcMessage::Request(request) = message else {
        return usual;
    };
    let Some(Forwarded(headers)) = request.request.extensions().get::<Forwarded>() else {
        return usual;
    };
    let mut all: Headers = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    all.extend(usual);
    all
}

/// The error without the server's URL, which may contain secrets and reaches the log.
fn without_url(failure: Failure) -> Failure {
    match failure {
        StreamableHttpError::Client(error) => StreamableHttpError::Client(error.without_url()),
        failure => failure,
    }
}

impl StreamableHttpClient for ForwardingClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let headers = with_forwarded(&message, custom_headers);
        let asked = Asked::new(&message, session_id.is_some());
        let answer = self
            .http
            .post_message_with_response_limits(
                uri,
                message,
                session_id,
                auth_header,
                headers,
                limits,
            )
            .await;
        let answer = asked.answer(answer.map_err(without_url));
        if matches!(answer, Err(StreamableHttpError::SessionExpired)) {
            self.renewed.notify_one();
        }
        answer
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Failure> {
        self.http
            .delete_session(uri, session_id, auth_header, custom_headers)
            .await
            .map_err(without_url)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.http
            .get_stream(uri, session_id, last_event_id, auth_header, custom_headers)
            .await
            .map_err(without_url)
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.http
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await
            .map_err(without_url)
    }
}
