//! A provider that is called over HTTP, of any vendor.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::timeout;
use tracing::Span;

use super::anthropic::Messages;
use super::call_timeouts::{CallTimeouts, Limits};
use super::connection::{ConnectionSettings, ProviderSettingsError, base_url};
use super::encoding;
use super::gemini::GenerateContent;
use super::http::{causes, request_id_of, retry_after_of, unanswered};
use super::openai::ChatCompletions;
use super::parts::Parts;
use super::protocol::Protocol;
use super::provider_error::{ProviderError, Redaction};
use super::reader::Reader;
use super::response_stream::ResponseStream;
use super::responses::Responses;
use super::signed_reasoning::{Bindings, Past, Refused, Wanted, account};
use super::unsupported::{Change, Learned, MAX_REPEATS, ParameterMemory, change_for};
use super::{ChatModel, ChatRequest, LlmError, PartStream};
use talkgraph_domain::CacheTtl;

/// The limits on reading an error response, in bytes and in time.
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

/// The settings of one provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// The API that it speaks.
    pub kind: ProviderKind,
    /// The address of its API, with the version and without the call's own path:
    /// `https://api.openai.com/v1`. A query is kept.
    pub base_url: String,
    /// The key, if it requires one.
    pub api_key: Option<SecretString>,
    /// Additional headers and parameters, and the key's header.
    pub connection: ConnectionSettings,
    /// Asks for the usage at the end of a stream where the protocol has a field for that.
    pub stream_options: bool,
    /// The parameters that its models refuse.
    pub refused_parameters: ParameterMemory,
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
    /// The lifetime of prompts in its cache, if requests set one.
    pub cache_ttl: CacheTtl,
}

/// A provider of models.
pub struct Provider {
    client: Client,
    base: Url,
    /// The host, which is the provider's name in the log.
    name: Arc<str>,
    api_key: Option<SecretString>,
    headers: HeaderMap,
    connection: ConnectionSettings,
    protocol: Box<dyn Protocol>,
    is_chat: bool,
    /// The parameters that the settings leave out of all requests.
    left_out: Vec<Change>,
    parameters: ParameterMemory,
    limits: Limits,
    max_event_bytes: usize,
    /// Digest of the address and the key, to which vendors bind their signatures.
    account: Arc<str>,
    refused: Arc<Refused>,
    cache_ttl: CacheTtl,
}

/// A request's body, and the parameters that it is sent without.
struct Outgoing {
    body: Bytes,
    /// The binding of signatures in the answer.
    bindings: Bindings,
    /// The changes of this call that have not succeeded yet.
    tried: Vec<Change>,
}

impl Provider {
    /// Creates a provider that is called through `client`, which all providers should share.
    ///
    /// # Errors When the base URL or the key is invalid.
    pub fn new(client: Client, settings: ProviderSettings) -> Result<Self, ProviderSettingsError> {
        let base = base_url(&settings.base_url)?;
        let host = base.host_str().ok_or(ProviderSettingsError::NotHttp)?;
        let protocol: Box<dyn Protocol> = match settings.kind {
            ProviderKind::OpenAi => Box::new(ChatCompletions),
            ProviderKind::OpenAiResponses => Box::new(Responses),
            ProviderKind::Anthropic => Box::new(Messages),
            ProviderKind::Gemini => Box::new(GenerateContent),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let connection = settings.connection;
        connection.add_headers(&mut headers, &*protocol, settings.api_key.as_ref())?;
        let key = settings.api_key.as_ref().map(ExposeSecret::expose_secret);
        Ok(Self {
            account: account(base.as_str(), key),
            refused: Arc::default(),
            cache_ttl: settings.cache_ttl,
            client,
            name: host.into(),
            base,
            api_key: settings.api_key,
            headers,
            connection,
            protocol,
            is_chat: settings.kind == ProviderKind::OpenAi,
            left_out: (!settings.stream_options)
                .then(|| Change::Drop(vec!["stream_options".to_owned()]))
                .into_iter()
                .collect(),
            parameters: settings.refused_parameters,
            limits: Limits {
                first_token: settings.first_token_timeout,
                idle: settings.idle_timeout,
                total: settings.total_timeout,
            },
            max_event_bytes: settings.max_event_bytes,
        })
    }

    /// The body, without the parameters that the settings leave out and the model is known to
    /// refuse.
    fn outgoing(&self, request: &ChatRequest) -> Result<Outgoing, LlmError> {
        let asked = self.protocol.body(request)?;
        let known = self.parameters.of(&request.model);
        let outgoing = Outgoing {
            body: asked.json.into(),
            bindings: asked.bindings,
            tried: Vec::new(),
        };
        outgoing.changed(self.left_out.iter().chain(&known))
    }

    fn request(&self, model: &str, outgoing: &Outgoing) -> Request {
        let url = self.protocol.url(&self.base, model);
        let mut http = Request::new(Method::POST, self.connection.with_query(url));
        *http.headers_mut() = self.headers.clone();
        *http.body_mut() = Some(outgoing.body.clone().into());
        http
    }

    /// The error of an error response, or a changed request that the model may accept.
    async fn refused(
        &self,
        response: Response,
        request: &ChatRequest,
        outgoing: Outgoing,
        redaction: &Redaction,
    ) -> Result<Outgoing, NotBegun> {
        let status = response.status().as_u16();
        let retry_after = retry_after_of(response.headers(), SystemTime::now());
        let fault = ProviderError::of_body(&error_body(response).await);
        fault.log(&Span::current(), &self.name, status, redaction);
        let error = fault.with_status(status, retry_after);
        let past = fault.wanted_past(status);
        let is_of_past = past.is_some_and(|wanted| wanted.differs_for(request));
        let is_refusal = matches!(error, LlmError::Rejected { .. }) && !is_of_past;
        if !is_refusal || outgoing.tried.len() >= MAX_REPEATS {
            return Err(NotBegun { error, past });
        }
        let body = serde_json::from_slice(&outgoing.body).map_err(|_| LlmError::Internal)?;
        match change_for(status, &fault, &body, self.is_chat) {
            Some(change) if !outgoing.tried.contains(&change) => Ok(outgoing.without(change)?),
            _ => Err(NotBegun { error, past }),
        }
    }

    /// Remembers the parameters without which a model has answered.
    fn learn(&self, model: &str, outgoing: &Outgoing) {
        for change in &outgoing.tried {
            if self.parameters.learn(model, change) == Learned::New {
                tracing::warn!(
                    provider = &*self.name,
                    model,
                    parameter = %change,
                    "model parameter unsupported, left out from now on"
                );
            }
        }
    }

    /// The selection of earlier reasoning for this provider's account.
    fn past(&self, wanted: Wanted) -> Past {
        Past::of(Arc::clone(&self.account), wanted, Arc::clone(&self.refused))
    }

    fn unreachable(&self, error: reqwest::Error) -> LlmError {
        let error = error.without_url();
        let cause = causes(&error);
        tracing::warn!(provider = &*self.name, %error, cause, "model provider unreachable");
        unanswered(&error)
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        let key = self.api_key.iter().map(ExposeSecret::expose_secret);
        key.chain(self.connection.secrets())
    }
}

impl Outgoing {
    fn changed<'a>(mut self, changes: impl Iterator<Item = &'a Change>) -> Result<Self, LlmError> {
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return Ok(self);
        }
        let body = serde_json::from_slice(&self.body);
        let mut body: Value = body.map_err(|_| LlmError::Internal)?;
        for change in changes {
            change.apply(&mut body);
        }
        let body = serde_json::to_vec(&body).map_err(|_| LlmError::Internal)?;
        self.body = body.into();
        Ok(self)
    }

    /// The same request after one more change.
    fn without(self, change: Change) -> Result<Self, LlmError> {
        let mut changed = self.changed([&change].into_iter())?;
        changed.tried.push(change);
        Ok(changed)
    }
}

#[async_trait]
impl ChatModel for Provider {
    async fn stream(&self, mut request: ChatRequest) -> Result<PartStream, LlmError> {
        request.past = self.past(Wanted::Accepted);
        request.cache_ttl = self.cache_ttl;
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
            "earlier reasoning refused, model call repeated"
        );
        if wanted == Wanted::Nothing {
            self.refused.add(&request);
        }
        request.past = self.past(wanted);
        self.ask(&request).await.map_err(|refused| refused.error)
    }
}

/// A call without an answer.
struct NotBegun {
    error: LlmError,
    /// The earlier reasoning with which it may be repeated.
    past: Option<Wanted>,
}

impl From<LlmError> for NotBegun {
    fn from(error: LlmError) -> Self {
        Self { error, past: None }
    }
}

impl Provider {
    /// Sends one request.
    async fn ask(&self, request: &ChatRequest) -> Result<PartStream, NotBegun> {
        let mut timeouts = CallTimeouts::start(self.limits);
        let redaction = Redaction::new(request, self.secrets());
        let mut outgoing = self.outgoing(request)?;
        let response = loop {
            let sent = self.client.execute(self.request(&request.model, &outgoing));
            let response = tokio::select! {
                biased;
                response = sent => response.map_err(|error| self.unreachable(error))?,
                error = timeouts.expired() => return Err(error.into()),
            };
            if let Some(id) = request_id_of(response.headers()) {
                Span::current().record("provider_request_id", id);
            }
            tracing::debug!(
                provider = &*self.name,
                status = response.status().as_u16(),
                "model provider responding"
            );
            if response.status().is_success() {
                break response;
            }
            outgoing = self
                .refused(response, request, outgoing, &redaction)
                .await?;
        };
        self.learn(&request.model, &outgoing);
        let reader = Reader::new(self.max_event_bytes, self.protocol.decoder());
        let parts = Parts::new(Arc::clone(&self.name), redaction, outgoing.bindings);
        let body = encoding::body(response, self.max_event_bytes);
        Ok(ResponseStream::new(body, reader, parts, timeouts).boxed())
    }
}

/// The beginning of the body that arrives within the time limit.
async fn error_body(response: Response) -> Vec<u8> {
    let (mut sent, mut body) = (encoding::body(response, MAX_ERROR_BYTES), Vec::new());
    // The time-out drops the future that reads, not the bytes that it has read.
    let _ = timeout(ERROR_BODY_TIMEOUT, async {
        while body.len() < MAX_ERROR_BYTES {
            let Some(Ok(chunk)) = sent.next().await else {
                break;
            };
            let room = MAX_ERROR_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    })
    .await;
    body
}
