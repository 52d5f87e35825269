//! A provider that is called over HTTP, whatever its vendor.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::time::timeout;
use tracing::Span;

use super::answer::Answer;
use super::anthropic::Messages;
use super::encoding;
use super::fault::{Fault, Redaction};
use super::gemini::GenerateContent;
use super::http::{request_id_of, retry_after_of, unanswered};
use super::openai::ChatCompletions;
use super::pace::{Limits, Pace};
use super::parts::Parts;
use super::past::{Bindings, Past, Refused, Wanted, account};
use super::protocol::Protocol;
use super::reader::Reader;
use super::responses::Responses;
use super::{ChatModel, ChatRequest, LlmError, PartStream};

/// What is read of an answer with an error status, in bytes and in time.
const MAX_ERROR_BYTES: usize = 8 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// The API that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's Chat Completions, which many servers imitate.
    OpenAi,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// What it speaks.
    pub kind: ProviderKind,
    /// Where its API is, with the version and without the call's own path:
    /// `https://api.openai.com/v1`. A query is kept.
    pub base_url: String,
    /// The key, where it wants one.
    pub api_key: Option<SecretString>,
    /// The longest wait from the start of a call to the first piece of an answer: text,
    /// reasoning or a tool call. Connecting counts.
    pub first_token_timeout: Duration,
    /// The longest wait between two such pieces.
    pub idle_timeout: Duration,
    /// The longest time for a whole answer.
    pub total_timeout: Duration,
    /// The largest event of a stream, or body of an answer that is not streamed, in
    /// bytes; a larger one fails the call.
    pub max_event_bytes: usize,
}

/// Why a provider cannot be called with these settings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderSettingsError {
    /// The address cannot be read. It is not repeated: there may be a secret in it.
    #[error("the base URL is no URL: {0}")]
    NotAUrl(String),
    /// The address is of another kind.
    #[error("the base URL must begin with http:// or https:// and name a host")]
    NotHttp,
    /// The address has a name or password in it, which would end up in logs.
    #[error("the base URL must not contain credentials; the key has a setting of its own")]
    Credentials,
    /// The key cannot be sent.
    #[error("the API key contains characters that cannot be sent in a header")]
    Key,
}

/// A provider of models.
pub struct Provider {
    client: Client,
    base: Url,
    /// The host, as the log names the provider.
    name: Arc<str>,
    api_key: Option<SecretString>,
    headers: HeaderMap,
    protocol: Box<dyn Protocol>,
    limits: Limits,
    max_event_bytes: usize,
    /// Digest of the address and the key, to which vendors bind what they sign.
    account: Arc<str>,
    refused: Arc<Refused>,
}

impl Provider {
    /// A provider that is called through `client`, which all providers should share.
    ///
    /// # Errors
    /// When the base URL or the key cannot be used.
    pub fn new(client: Client, settings: ProviderSettings) -> Result<Self, ProviderSettingsError> {
        let base = base_url(&settings.base_url)?;
        let host = base.host_str().ok_or(ProviderSettingsError::NotHttp)?;
        let protocol: Box<dyn Protocol> = match settings.kind {
            ProviderKind::OpenAi => Box::new(ChatCompletions::of_host(host)),
            ProviderKind::OpenAiResponses => Box::new(Responses),
            ProviderKind::Anthropic => Box::new(Messages::of_host(host)),
            ProviderKind::Gemini => Box::new(GenerateContent),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let key = settings.api_key.as_ref().map(ExposeSecret::expose_secret);
        protocol
            .headers(&mut headers, key)
            .map_err(|_| ProviderSettingsError::Key)?;
        let key = settings.api_key.as_ref().map(ExposeSecret::expose_secret);
        Ok(Self {
            account: account(base.as_str(), key),
            refused: Arc::default(),
            client,
            name: host.into(),
            base,
            api_key: settings.api_key,
            headers,
            protocol,
            limits: Limits {
                first_token: settings.first_token_timeout,
                idle: settings.idle_timeout,
                total: settings.total_timeout,
            },
            max_event_bytes: settings.max_event_bytes,
        })
    }

    fn request(&self, request: &ChatRequest) -> Result<(Request, Bindings), LlmError> {
        let asked = self.protocol.body(request)?;
        let url = self.protocol.url(&self.base, &request.model);
        let mut http = Request::new(Method::POST, url);
        *http.headers_mut() = self.headers.clone();
        *http.body_mut() = Some(asked.json.into());
        Ok((http, asked.bindings))
    }

    /// The error that an answer with an error status stands for.
    async fn refused(&self, response: Response, redaction: &Redaction) -> NotBegun {
        let status = response.status().as_u16();
        let retry_after = retry_after_of(response.headers());
        let fault = Fault::of_body(&error_body(response).await);
        fault.log(&Span::current(), &self.name, status, redaction);
        NotBegun {
            error: fault.with_status(status, retry_after),
            past: fault.wanted_past(status),
        }
    }

    /// The past as this provider's account may see it.
    fn past(&self, wanted: Wanted) -> Past {
        Past::of(Arc::clone(&self.account), wanted, Arc::clone(&self.refused))
    }

    fn unreachable(&self, error: reqwest::Error) -> LlmError {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(provider = &*self.name, %error, cause, "a model provider cannot be reached");
        unanswered(&error)
    }
}

#[async_trait]
impl ChatModel for Provider {
    async fn stream(&self, mut request: ChatRequest) -> Result<PartStream, LlmError> {
        request.past = self.past(Wanted::Accepted);
        let refused = match self.ask(&request).await {
            Ok(parts) => return Ok(parts),
            Err(refused) => refused,
        };
        let Some(wanted) = refused.past.filter(|wanted| wanted.differs_for(&request)) else {
            return Err(refused.error);
        };
        tracing::warn!(
            provider = &*self.name,
            ?wanted,
            "a model provider refuses the past reasoning: the call is repeated"
        );
        if wanted == Wanted::Nothing {
            self.refused.add(&request);
        }
        request.past = self.past(wanted);
        self.ask(&request).await.map_err(|refused| refused.error)
    }
}

/// A call that came to no answer.
struct NotBegun {
    error: LlmError,
    /// With which past reasoning it may be repeated.
    past: Option<Wanted>,
}

impl From<LlmError> for NotBegun {
    fn from(error: LlmError) -> Self {
        Self { error, past: None }
    }
}

impl Provider {
    /// Asks once.
    async fn ask(&self, request: &ChatRequest) -> Result<PartStream, NotBegun> {
        let mut pace = Pace::start(self.limits);
        let (http, bindings) = self.request(request)?;
        let sent = self.client.execute(http);
        let response = tokio::select! {
            biased;
            response = sent => response.map_err(|error| self.unreachable(error))?,
            error = pace.expired() => return Err(error.into()),
        };
        if let Some(id) = request_id_of(response.headers()) {
            Span::current().record("provider_request_id", id);
        }
        let provider = &*self.name;
        tracing::debug!(
            provider,
            status = response.status().as_u16(),
            "a model provider answers"
        );
        let key = self.api_key.as_ref().map(ExposeSecret::expose_secret);
        let redaction = Redaction::new(request, key);
        if !response.status().is_success() {
            return Err(self.refused(response, &redaction).await);
        }
        let reader = Reader::new(self.max_event_bytes, self.protocol.decoder());
        let parts = Parts::new(Arc::clone(&self.name), redaction, bindings);
        let body = encoding::body(response, self.max_event_bytes);
        Ok(Answer::new(body, reader, parts, pace).boxed())
    }
}

fn base_url(base: &str) -> Result<Url, ProviderSettingsError> {
    let parsed = Url::parse(base);
    let url = parsed.map_err(|error| ProviderSettingsError::NotAUrl(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ProviderSettingsError::Credentials);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ProviderSettingsError::NotHttp);
    }
    Ok(url)
}

/// The start of the body; what cannot be had in time is left out.
async fn error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    // The time-out drops the future that reads, not what it has read.
    let _ = timeout(ERROR_BODY_TIMEOUT, async {
        while body.len() < MAX_ERROR_BYTES {
            let Ok(Some(chunk)) = response.chunk().await else {
                break;
            };
            let room = MAX_ERROR_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    })
    .await;
    body
}
