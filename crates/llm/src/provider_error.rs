//! Errors that a provider reports: classified, logged, and never passed on.

use std::time::Duration;

use serde_json::Value;
use tracing::Span;

use super::error::Named;
use super::{ChatRequest, Content, FileData, LlmError};

mod quota;
mod reasoning;
mod wait;

#[cfg(test)]
mod tests;

/// A provider's error object, with the fields that it has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProviderError {
    /// A word or a number, for programs.
    code: String,
    /// The kind of error, for programs.
    kind: String,
    /// For people.
    message: String,
    /// The context's size in tokens (llama.cpp).
    context_tokens: Option<u32>,
    /// The key is invalid, also where the status says otherwise (Gemini).
    wrong_key: bool,
    /// The invalid parameter, as a path.
    parameter: String,
    /// The fields that a server's validation of the request names, as paths (FastAPI).
    fields: Vec<String>,
    /// A quota for a day or longer (Google).
    long_quota: bool,
    /// The wait that the body requests.
    retry_after: Option<Duration>,
}

/// Messages for an exceeded context, of servers without a code for it, and the position of the
/// limit: the first number after them or the last. OpenAI's are also vLLM's.
const CONTEXT_WORDS: [(&str, Number); 5] = [
    ("maximum context length", Number::First),
    // Anthropic: "prompt is too long: 208310 tokens > 200000 maximum"
    ("prompt is too long", Number::Last),
    // Anthropic: "input length and `max_tokens` exceed context limit: 1 + 2 > 3, decrease"
    ("exceed context limit", Number::Last),
    // Gemini: "The input token count (2) exceeds the maximum number of tokens allowed (1)."
    ("maximum number of tokens allowed", Number::First),
    // OpenAI Responses
    ("exceeds the context window", Number::First),
];

/// Messages of models without tool support, for which no server has a code.
const TOOLS_WORDS: [&str; 4] = [
    // Ollama: "registry.ollama.ai/library/gemma3:4b does not support tools"
    "does not support tools",
    // OpenRouter, with 404: "No endpoints found that support tool use"
    "No endpoints found that support tool use",
    // vLLM: "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser …"
    "tool choice requires --enable-auto-tool-choice",
    // llama.cpp, with 500: "tools param requires --jinja flag"
    "tools param requires --jinja",
];

/// The maximum number of fields of one validation error that are read.
const MAX_FIELDS: usize = 8;

#[derive(Debug, Clone, Copy)]
enum Number {
    First,
    Last,
}

impl ProviderError {
    /// Parses the body of an error response.
    pub(super) fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                // Gemini wraps it into a list when it streams.
                let value = value.get(0).unwrap_or(&value);
                // Older vLLM has the fields at the top.
                let fault = Self::of_value(value.get("error").unwrap_or(value));
                let retry_after = fault.retry_after.or_else(|| wait::estimated(value));
                Self {
                    retry_after,
                    ..fault
                }
            }
            Err(_) => Self {
                message: String::from_utf8_lossy(body).into_owned(),
                ..Self::default()
            },
        }
    }

    /// Parses the value of an `error` key.
    pub(super) fn of_value(value: &Value) -> Self {
        let text = |key| match value.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let or = |first: String, key| if first.is_empty() { text(key) } else { first };
        let details = value.get("details").and_then(Value::as_array);
        let details = details.map(Vec::as_slice).unwrap_or_default();
        let (fields, checked) = checks(value);
        // Ollama writes a bare string, FastAPI its validation errors in place of a message.
        let message = value
            .as_str()
            .map_or_else(|| text("message"), str::to_owned);
        let message = [message, text("detail"), checked];
        Self {
            code: text("code"),
            // Gemini's name.
            kind: or(text("type"), "status"),
            message: message
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default(),
            context_tokens: text("n_ctx").parse().ok(),
            wrong_key: details
                .iter()
                .any(|detail| detail["reason"] == "API_KEY_INVALID"),
            parameter: text("param"),
            fields,
            long_quota: quota::is_long(details),
            retry_after: wait::of_details(details),
        }
    }

    /// The error of a response with this status.
    pub(super) fn with_status(&self, status: u16, retry_after: Option<Duration>) -> LlmError {
        let retry_after = retry_after.or(self.retry_after);
        if quota::MAY_BE.contains(&status) && self.is_out_of_quota(status) {
            return LlmError::QuotaExhausted;
        }
        if wait::MAY_BE_LOADING.contains(&status) && self.is_loading() {
            return LlmError::Loading { retry_after };
        }
        let mapped = LlmError::of_status(status, retry_after);
        match mapped {
            LlmError::Rejected { .. } if self.wrong_key => LlmError::Auth,
            LlmError::Rejected { .. } | LlmError::Unavailable if self.is_of_tools() => {
                LlmError::ToolsUnsupported { model: None }
            }
            LlmError::Rejected { status, .. } => self.context_exceeded().unwrap_or_else(|| {
                let named = Named::new(&[&self.code, &self.kind], self.parameter_path());
                LlmError::Rejected { status, named }
            }),
            mapped => mapped,
        }
    }

    /// The error of a stream that began successfully.
    pub(super) fn in_stream(&self) -> LlmError {
        if let Some(error) = self.context_exceeded() {
            return error;
        }
        if let Ok(status @ 400..600) = self.code.parse() {
            return self.with_status(status, None);
        }
        if self.is_out_of_quota(429) {
            return LlmError::QuotaExhausted;
        }
        let words = [self.code.as_str(), self.kind.as_str()];
        let error = words.into_iter().find_map(of_word);
        match error.unwrap_or(LlmError::Unavailable) {
            LlmError::Rejected { status, .. } => self.with_status(status, None),
            LlmError::RateLimited { .. } => LlmError::RateLimited {
                retry_after: self.retry_after,
            },
            error => error,
        }
    }

    /// The invalid parameter, as the provider names it.
    fn parameter_path(&self) -> &str {
        match self.fields.first() {
            Some(field) if self.parameter.is_empty() => field,
            _ => &self.parameter,
        }
    }

    /// The paths of the parameters that the provider names as invalid.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let paths = [self.parameter.as_str()].into_iter();
        paths
            .chain(self.fields.iter().map(String::as_str))
            .filter(|path| !path.is_empty())
    }

    /// The provider's code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// The provider's message.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn is_of_tools(&self) -> bool {
        TOOLS_WORDS.iter().any(|words| self.message.contains(words))
    }

    /// OpenAI has a code for it, llama.cpp a type, the others only messages, most of which contain
    /// the limit.
    fn context_exceeded(&self) -> Option<LlmError> {
        let told = CONTEXT_WORDS.iter().find_map(|(words, number)| {
            let (_, rest) = self.message.split_once(words)?;
            Some(number.of(rest))
        });
        if self.code != "context_length_exceeded"
            && self.kind != "exceed_context_size_error"
            && told.is_none()
        {
            return None;
        }
        Some(LlmError::ContextExceeded {
            limit: self.context_tokens.or(told.flatten()),
        })
    }

    /// Logs the error. The log is the only place for a provider's messages.
    pub(super) fn log(&self, span: &Span, provider: &str, status: u16, redaction: &Redaction) {
        tracing::warn!(
            parent: span,
            provider,
            status,
            provider_code = redaction.apply(&self.code),
            provider_kind = redaction.apply(&self.kind),
            reason = redaction.apply(&self.message),
            "model provider returned an error"
        );
    }
}

/// The error of a code or a kind, if that is specific.
fn of_word(word: &str) -> Option<LlmError> {
    Some(match word {
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" => {
            LlmError::RateLimited { retry_after: None }
        }
        "overloaded_error" => LlmError::Overloaded { retry_after: None },
        "invalid_api_key" | "authentication_error" | "permission_error" => LlmError::Auth,
        "invalid_request_error" | "invalid_prompt" => LlmError::rejected(400),
        "not_found_error" => LlmError::rejected(404),
        "request_too_large" => LlmError::rejected(413),
        _ => return None,
    })
}

/// The fields that a server's validation refuses, and its message about the first: `{"detail":
/// [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "…"}]}`, inside a message with
/// Mistral.
fn checks(value: &Value) -> (Vec<String>, String) {
    let detail = value
        .get("detail")
        .or_else(|| value.get("message")?.get("detail"));
    let checks = detail.and_then(Value::as_array).map(Vec::as_slice);
    let checks = checks.unwrap_or_default();
    let path = |check: &Value| {
        let segments = check
            .get("loc")?
            .as_array()?
            .iter()
            .map(|segment| match segment {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
        Some(segments.collect::<Vec<_>>().join("."))
    };
    let fields: Vec<_> = checks.iter().filter_map(path).take(MAX_FIELDS).collect();
    let words = checks.iter().find_map(|check| check.get("msg")?.as_str());
    (fields, words.unwrap_or_default().to_owned())
}

impl Number {
    fn of(self, text: &str) -> Option<u32> {
        let runs = text.split(|c: char| !c.is_ascii_digit());
        let mut numbers = runs.filter(|run| !run.is_empty());
        let found = match self {
            Self::First => numbers.next(),
            Self::Last => numbers.next_back(),
        };
        found?.parse().ok()
    }
}

/// Keeps secrets and prompts out of the log: some providers repeat the request, or the
/// key, in their error messages.
#[derive(Debug, Default)]
pub(super) struct Redaction {
    /// An excerpt of each message of the prompt, and the secrets.
    pieces: Vec<Box<str>>,
}

/// The length of an excerpt that is searched for. Shorter texts are ordinary words.
const PIECE_CHARS: std::ops::RangeInclusive<usize> = 8..=24;
/// The longest logged text.
const LOGGED_CHARS: usize = 500;

impl Redaction {
    /// Creates a redaction that hides the prompt of a request and these secrets.
    pub(super) fn new<'a>(
        request: &'a ChatRequest,
        secrets: impl Iterator<Item = &'a str>,
    ) -> Self {
        let contents = request.messages.iter().flat_map(|message| &message.content);
        let prompts = contents.filter_map(|content| piece(said(content)));
        Self {
            pieces: prompts.chain(secrets).map(Box::from).collect(),
        }
    }

    fn apply(&self, text: &str) -> String {
        if self.pieces.iter().any(|piece| text.contains(&**piece)) {
            return "(withheld: it repeats the request)".to_owned();
        }
        // Control characters could forge lines of the log.
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().take(LOGGED_CHARS).map(printable).collect()
    }
}

/// The text of a content that a provider could repeat.
fn said(content: &Content) -> &str {
    match content {
        Content::Text(text)
        | Content::Reasoning { text, .. }
        | Content::ToolResult { text, .. } => text,
        Content::ToolCall { arguments, .. } => arguments,
        Content::File { data, .. } => match data {
            FileData::Base64(bytes) => bytes,
            FileData::Url(url) => url,
        },
    }
}

/// An excerpt of a prompt that reads the same in any quoting.
fn piece(content: &str) -> Option<&str> {
    content
        .split(|c: char| c.is_control() || matches!(c, '"' | '\'' | '\\'))
        .find(|run| run.chars().nth(PIECE_CHARS.start() - 1).is_some())
        .map(|run| {
            let end = run.char_indices().nth(*PIECE_CHARS.end());
            &run[..end.map_or(run.len(), |(at, _)| at)]
        })
}
