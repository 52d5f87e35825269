//! HTTP tools: requests that are declared in the settings.

mod url;

use async_trait::async_trait;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde_json::Value;

use talkgraph_evaluation::{Escape, Evaluator, Failure};

use super::egress::{Body, BodyLimits, EgressClient, EgressPolicy};
use super::output::{new_file, shortened};
use super::{Tool, ToolContext, ToolError, ToolOutput};
use talkgraph_domain::redact::{self, Known};
use url::UrlTemplate;

/// The part of an error's body that a model is shown, in bytes.
const ERROR_BYTES: usize = 1_000;

/// Identifies a call for the server, so that a repeated one is executed once
/// (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The settings of an HTTP tool.
pub struct HttpToolSpec {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// A minijinja template over `args`, whose values are percent-encoded.
    pub url: String,
    /// A minijinja template over `args` that gives JSON; values are written as JSON.
    pub body: Option<String>,
    /// Headers of each request.
    pub headers: Vec<(String, SecretString)>,
    /// The caller's headers that are forwarded, in lower case.
    pub forward_headers: Vec<HeaderName>,
    /// The part of a JSON response that is the output (RFC 6901); all of it when absent.
    pub response_pointer: Option<String>,
    /// The largest response, in bytes, as sent and once decompressed.
    pub response_bytes: usize,
}

/// An invalid setting of an HTTP tool: the key, and the reason.
#[derive(Debug)]
pub struct HttpToolError {
    /// The key within `[[tools.http]]`.
    pub key: HttpToolKey,
    /// The problem, and the allowed values.
    pub why: String,
}

/// A key of `[[tools.http]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpToolKey {
    /// `method`
    Method,
    /// `url`
    Url,
    /// `body`
    Body,
    /// `headers`
    Headers,
    /// `response_pointer`
    ResponsePointer,
}

/// A tool that sends an HTTP request.
pub struct HttpTool {
    evaluator: Evaluator,
    client: EgressClient,
    method: Method,
    url: UrlTemplate,
    body: Option<String>,
    headers: HeaderMap,
    forward_headers: Vec<HeaderName>,
    response_pointer: Option<String>,
    limits: BodyLimits,
    /// Secrets that the tool's server receives and may repeat.
    secrets: Known,
}

impl HttpTool {
    /// Creates a tool from its settings. `client` creates the client for a policy: `policy`, and
    /// with it the host of the URL where the settings alone decide that.
    ///
    /// # Errors When a setting is invalid; `E` when there is no client.
    pub async fn new<E>(
        evaluator: &Evaluator,
        spec: HttpToolSpec,
        policy: &EgressPolicy,
        client: impl FnOnce(EgressPolicy) -> Result<EgressClient, E>,
    ) -> Result<Result<Self, HttpToolError>, E> {
        let parts = Parts::read(evaluator, &spec).await;
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error)),
        };
        let policy = match parts.url.origin() {
            Some(origin) => policy.with_origin(origin),
            None => policy.clone(),
        };
        let secrets = spec.headers.iter().map(|(_, value)| value.expose_secret());
        Ok(Ok(Self {
            evaluator: evaluator.clone(),
            secrets: Known::new(secrets),
            client: client(policy)?,
            method: parts.method,
            url: parts.url,
            body: parts.body,
            headers: parts.headers,
            forward_headers: spec.forward_headers,
            response_pointer: spec.response_pointer,
            limits: BodyLimits {
                bytes: spec.response_bytes,
                decoded_bytes: spec.response_bytes,
            },
        }))
    }
}

struct Parts {
    method: Method,
    url: UrlTemplate,
    body: Option<String>,
    headers: HeaderMap,
}

impl Parts {
    async fn read(evaluator: &Evaluator, spec: &HttpToolSpec) -> Result<Self, HttpToolError> {
        let wrong = |key| move |why: String| HttpToolError { key, why };
        if let Some(body) = &spec.body {
            let checked = evaluator.check_request(body, Escape::Json).await;
            checked.map_err(|error| wrong(HttpToolKey::Body)(error.to_string()))?;
        }
        let pointer = spec.response_pointer.as_deref().unwrap_or_default();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let why = format!("{pointer:?} must begin with / (RFC 6901)");
            return Err(wrong(HttpToolKey::ResponsePointer)(why));
        }
        Ok(Self {
            method: method(&spec.method).map_err(wrong(HttpToolKey::Method))?,
            url: UrlTemplate::new(evaluator, &spec.url)
                .await
                .map_err(wrong(HttpToolKey::Url))?,
            body: spec.body.clone(),
            headers: headers(&spec.headers).map_err(wrong(HttpToolKey::Headers))?,
        })
    }
}

fn method(name: &str) -> Result<Method, String> {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let found = known.into_iter().find(|method| method.as_str() == name);
    found.ok_or_else(|| format!("{name:?} must be GET, POST, PUT, PATCH or DELETE"))
}

/// Headers whose values never reach a log.
pub fn headers(pairs: &[(String, SecretString)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let known: HeaderName = name
            .parse()
            .map_err(|_| format!("{:?} is no header", redact::name(name)))?;
        let value = HeaderValue::from_str(value.expose_secret());
        let mut value =
            value.map_err(|_| format!("of {known}: the value cannot be in a header"))?;
        value.set_sensitive(true);
        headers.insert(known, value);
    }
    Ok(headers)
}

#[async_trait]
impl Tool for HttpTool {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let (evaluator, who) = (&self.evaluator, &context.principal);
        let url = self.url.render(evaluator, who, &arguments).await?;
        let mut request = self.client.request(self.method.clone(), url)?;
        if let Some(body) = &self.body {
            let body = evaluator.request(who, body, Escape::Json, &arguments);
            let body = rendered(body.await)?;
            let json: Value = serde_json::from_str(&body).map_err(|error| {
                ToolError::internal(format!("the body's template gives no JSON: {error}"))
            })?;
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(json.to_string());
        }
        if !self.method.is_safe() {
            request = request.header(IDEMPOTENCY_KEY, &*context.call_id);
        }
        let mut headers = context.headers.only(&self.forward_headers);
        headers.extend(self.headers.clone());
        let request = request
            .headers(headers)
            .header(ACCEPT_ENCODING, Body::ACCEPT_ENCODING);
        self.output(self.client.send(request).await?).await
    }
}

/// Returns true for media types of responses that are files, not text.
fn is_file(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_kind = ["image/", "audio/", "video/"]
        .iter()
        .any(|kind| essence.starts_with(kind));
    (is_kind && essence != "image/svg+xml") || essence == "application/pdf"
}

/// A response that is text; JSON stays a value.
fn whole(text: &str, body: &Body) -> ToolOutput {
    let essence = body.content_type.split(';').next().unwrap_or_default();
    let says_json = essence.trim() == "application/json" || essence.trim().ends_with("+json");
    if says_json && !body.cut && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return ToolOutput::json(text);
    }
    ToolOutput {
        truncated: body.cut,
        ..ToolOutput::new(text)
    }
}

/// The text of a template; its own error is for the log.
fn rendered(rendered: Result<String, Failure>) -> Result<String, ToolError> {
    rendered.map_err(|error| match error {
        Failure::TooCostly(_) | Failure::Busy => ToolError::Failed(format!(
            "the request cannot be put together from these arguments: {error}"
        )),
        error => ToolError::internal(error),
    })
}

impl HttpTool {
    async fn output(&self, response: Response) -> Result<ToolOutput, ToolError> {
        let status = response.status();
        let body = Body::read(response, self.limits).await?;
        let text = body.text();
        if !status.is_success() {
            return Err(ToolError::Status {
                status: status.as_u16(),
                body: shortened(&self.secrets.hide(text.trim()), ERROR_BYTES),
            });
        }
        let too_large = || {
            let most = self.limits.bytes;
            ToolError::Failed(format!("the response is larger than {most} bytes"))
        };
        let Some(pointer) = &self.response_pointer else {
            if !is_file(&body.content_type) {
                return Ok(whole(&text, &body));
            }
            drop(text);
            if body.cut {
                return Err(too_large());
            }
            let content_type = body.content_type.clone();
            let content = body.into_bytes();
            return Ok(ToolOutput::file(new_file(
                None,
                Some(&content_type),
                content,
            )));
        };
        if body.cut {
            return Err(too_large());
        }
        let json: Value = serde_json::from_str(&text)
            .map_err(|_| ToolError::Failed("the response is not JSON".to_owned()))?;
        ToolOutput::part_of(&json, pointer)
    }
}
