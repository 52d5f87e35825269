//! Chat completions as OpenAI defined them and many servers imitate: vLLM, Ollama,
//! llama.cpp, DeepSeek, OpenRouter and others.

mod answer;
mod chunk;
mod fault;
mod pace;
mod parts;
mod request;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::time::timeout;

use self::answer::{Answer, Reader};
use self::fault::{Fault, Redaction};
use self::pace::{Limits, Pace};
use self::parts::Parts;
use self::request::LimitField;
use crate::llm::http::{retry_after_of, unanswered};
use crate::llm::{ChatModel, ChatRequest, LlmError, PartStream};

/// What is read of an answer with an error status, in bytes and in time.
const MAX_ERROR_BYTES: usize = 8 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// One provider.
#[derive(Debug, Clone)]
pub struct OpenAiSettings {
    /// Where its API is, without `/chat/completions`: `https://api.openai.com/v1`. A
    /// query is kept.
    pub base_url: String,
    /// The key, where it wants one.
    pub api_key: Option<SecretString>,
    /// The longest wait from the start of a call to the first piece of text or reasoning.
    /// Connecting counts.
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
pub enum OpenAiSettingsError {
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

/// A provider with OpenAI's API.
pub struct OpenAi {
    client: Client,
    url: Url,
    /// The host, as the log names the provider.
    provider: Arc<str>,
    api_key: Option<SecretString>,
    authorization: Option<HeaderValue>,
    limit_field: LimitField,
    limits: Limits,
    max_event_bytes: usize,
}

impl OpenAi {
    /// A provider that is called through `client`, which all providers should share.
    ///
    /// # Errors
    /// When the base URL or the key cannot be used.
    pub fn new(client: Client, settings: OpenAiSettings) -> Result<Self, OpenAiSettingsError> {
        let url = completions_url(&settings.base_url)?;
        let host = url.host_str().ok_or(OpenAiSettingsError::NotHttp)?;
        Ok(Self {
            provider: host.into(),
            limit_field: LimitField::of_host(host),
            url,
            authorization: settings.api_key.as_ref().map(authorization).transpose()?,
            api_key: settings.api_key,
            limits: Limits {
                first_token: settings.first_token_timeout,
                idle: settings.idle_timeout,
                total: settings.total_timeout,
            },
            max_event_bytes: settings.max_event_bytes,
            client,
        })
    }

    fn request(&self, request: &ChatRequest) -> Result<Request, LlmError> {
        let body = request::body(request, self.limit_field).map_err(|_| LlmError::Internal)?;
        let mut http = Request::new(Method::POST, self.url.clone());
        let headers = http.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        *http.body_mut() = Some(body.into());
        Ok(http)
    }

    /// The error that an answer with an error status stands for.
    async fn refused(&self, response: Response, redaction: &Redaction) -> LlmError {
        let status = response.status().as_u16();
        let retry_after = retry_after_of(response.headers());
        let fault = Fault::of_body(&error_body(response).await);
        fault.log(&self.provider, status, redaction);
        fault.with_status(status, retry_after)
    }

    fn unreachable(&self, error: reqwest::Error) -> LlmError {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(provider = &*self.provider, %error, cause, "a model provider cannot be reached");
        unanswered(&error)
    }
}

#[async_trait]
impl ChatModel for OpenAi {
    async fn stream(&self, request: ChatRequest) -> Result<PartStream, LlmError> {
        let mut pace = Pace::start(self.limits);
        let sent = self.client.execute(self.request(&request)?);
        let response = tokio::select! {
            biased;
            response = sent => response.map_err(|error| self.unreachable(error))?,
            error = pace.expired() => return Err(error),
        };
        let key = self.api_key.as_ref().map(ExposeSecret::expose_secret);
        let redaction = Redaction::new(&request, key);
        if !response.status().is_success() {
            return Err(self.refused(response, &redaction).await);
        }
        let reader = Reader::new(is_json(&response), self.max_event_bytes);
        let parts = Parts::new(Arc::clone(&self.provider), redaction);
        Ok(Answer::new(response.bytes_stream(), reader, parts, pace).boxed())
    }
}

fn completions_url(base: &str) -> Result<Url, OpenAiSettingsError> {
    let parsed = Url::parse(base);
    let mut url = parsed.map_err(|error| OpenAiSettingsError::NotAUrl(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OpenAiSettingsError::Credentials);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(OpenAiSettingsError::NotHttp);
    }
    url.path_segments_mut()
        .map_err(|()| OpenAiSettingsError::NotHttp)?
        .pop_if_empty()
        .extend(["chat", "completions"]);
    Ok(url)
}

fn authorization(key: &SecretString) -> Result<HeaderValue, OpenAiSettingsError> {
    let value = format!("Bearer {}", key.expose_secret());
    let mut value = HeaderValue::try_from(value).map_err(|_| OpenAiSettingsError::Key)?;
    // Keeps it out of debug output, and out of HTTP/2's compression table.
    value.set_sensitive(true);
    Ok(value)
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
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
