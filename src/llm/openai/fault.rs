//! What a provider says when it fails: classified, logged, and never passed on.

use std::time::Duration;

use serde_json::Value;

use crate::llm::{ChatRequest, LlmError};

/// An error object, or as much of one as the provider wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// A word or a number, for programs.
    code: String,
    /// The kind of error, for programs.
    kind: String,
    /// For people.
    message: String,
    /// The context's size in tokens (llama.cpp).
    context_tokens: Option<u32>,
}

impl Fault {
    /// Reads the body of an answer with an error status.
    pub(super) fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            // Older vLLM has the fields at the top.
            Ok(value) => Self::of_value(value.get("error").unwrap_or(&value)),
            Err(_) => Self {
                message: String::from_utf8_lossy(body).into_owned(),
                ..Self::default()
            },
        }
    }

    /// Reads the value of an `error` key.
    pub(super) fn of_value(value: &Value) -> Self {
        let text = |key| match value.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Self {
            code: text("code"),
            kind: text("type"),
            // Ollama writes a bare string.
            message: value
                .as_str()
                .map_or_else(|| text("message"), str::to_owned),
            context_tokens: text("n_ctx").parse().ok(),
        }
    }

    /// The error, for an answer with this status.
    pub(super) fn with_status(&self, status: u16, retry_after: Option<Duration>) -> LlmError {
        let mapped = LlmError::of_status(status, retry_after);
        match mapped {
            LlmError::Rejected { .. } => self.context_exceeded().unwrap_or(mapped),
            mapped => mapped,
        }
    }

    /// The error, for one inside a stream that began well.
    pub(super) fn in_stream(&self) -> LlmError {
        if let Some(error) = self.context_exceeded() {
            return error;
        }
        match self.code.parse() {
            Ok(status @ 400..600) => LlmError::of_status(status, None),
            _ => match (self.code.as_str(), self.kind.as_str()) {
                ("rate_limit_exceeded" | "insufficient_quota", _) | (_, "rate_limit_error") => {
                    LlmError::RateLimited { retry_after: None }
                }
                ("invalid_api_key", _) | (_, "authentication_error") => LlmError::Auth,
                (_, "invalid_request_error") => LlmError::Rejected { status: 400 },
                _ => LlmError::Unavailable,
            },
        }
    }

    /// OpenAI has a code for it, llama.cpp a type; vLLM only the words, which are
    /// OpenAI's own. They are also where OpenAI tells the limit.
    fn context_exceeded(&self) -> Option<LlmError> {
        const WORDS: &str = "maximum context length";
        let told = self.message.split_once(WORDS).map(|(_, rest)| rest);
        if self.code != "context_length_exceeded"
            && self.kind != "exceed_context_size_error"
            && told.is_none()
        {
            return None;
        }
        let told = told.and_then(|rest| {
            let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
            let end = digits.find(|c: char| !c.is_ascii_digit());
            digits[..end.unwrap_or(digits.len())].parse().ok()
        });
        Some(LlmError::ContextExceeded {
            limit: self.context_tokens.or(told),
        })
    }

    /// Writes it to the log, which is the only place a provider's words go.
    pub(super) fn log(&self, provider: &str, status: u16, redaction: &Redaction) {
        tracing::warn!(
            provider,
            status,
            code = redaction.apply(&self.code),
            kind = redaction.apply(&self.kind),
            message = redaction.apply(&self.message),
            "the model provider answered with an error"
        );
    }
}

/// Keeps secrets and prompts out of the log: some providers repeat the request, or the
/// key, in their error messages.
#[derive(Debug, Default)]
pub(super) struct Redaction {
    /// A piece of each message of the prompt, and the key.
    pieces: Vec<Box<str>>,
}

/// The part of a message that is looked for. Shorter ones are not: they are words.
const PIECE_CHARS: std::ops::RangeInclusive<usize> = 8..=24;
/// What is logged of a text at most.
const LOGGED_CHARS: usize = 500;

impl Redaction {
    pub(super) fn new(request: &ChatRequest, key: Option<&str>) -> Self {
        let prompts = request
            .messages
            .iter()
            .filter_map(|message| piece(&message.content));
        Self {
            pieces: prompts.chain(key).map(Box::from).collect(),
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

/// A piece of a prompt that reads the same however a provider quotes it.
fn piece(content: &str) -> Option<&str> {
    content
        .split(|c: char| c.is_control() || matches!(c, '"' | '\'' | '\\'))
        .find(|run| run.chars().nth(PIECE_CHARS.start() - 1).is_some())
        .map(|run| {
            let end = run.char_indices().nth(*PIECE_CHARS.end());
            &run[..end.map_or(run.len(), |(at, _)| at)]
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Fault, Redaction, piece};
    use crate::llm::LlmError::{self, Auth, ContextExceeded, RateLimited, Rejected, Unavailable};

    #[test]
    fn a_context_that_is_too_small_is_recognised() {
        let exceeded = |limit| ContextExceeded { limit };
        for (body, expected) in [
            (
                r#"{"error":{"code":"context_length_exceeded"}}"#,
                exceeded(None),
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, you requested 9001","code":"context_length_exceeded"}}"#,
                exceeded(Some(8192)),
            ),
            (
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","code":400}"#,
                exceeded(Some(4096)),
            ),
            (
                r#"{"error":{"code":400,"type":"exceed_context_size_error","n_ctx":2048}}"#,
                exceeded(Some(2048)),
            ),
            (
                r#"{"error":{"code":"model_not_found"}}"#,
                Rejected { status: 400 },
            ),
            ("<html>", Rejected { status: 400 }),
        ] {
            assert_eq!(
                Fault::of_body(body.as_bytes()).with_status(400, None),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn errors_inside_a_stream_are_classified() {
        let of = |json: &str| -> LlmError {
            Fault::of_value(&serde_json::from_str(json).unwrap()).in_stream()
        };
        let limited = RateLimited { retry_after: None };
        assert_eq!(of(r#"{"code":429,"message":"slow down"}"#), limited);
        assert_eq!(of(r#"{"code":"502"}"#), Unavailable);
        assert_eq!(of(r#"{"code":"insufficient_quota"}"#), limited);
        assert_eq!(of(r#"{"type":"authentication_error"}"#), Auth);
        assert_eq!(of(r#"{"type":"server_error","code":null}"#), Unavailable);
        assert_eq!(of(r#""out of memory""#), Unavailable);
        assert_eq!(of("[]"), Unavailable);
    }

    #[test]
    fn prompts_and_keys_do_not_reach_the_log() {
        let redaction = Redaction {
            pieces: ["My name is Ada", "sk-1234567"].map(Box::from).into(),
        };
        for said in ["input: 'My name is Ada, and'", "wrong key sk-1234567"] {
            assert!(redaction.apply(said).starts_with("(withheld"), "{said}");
        }
        assert_eq!(redaction.apply("no such\nmodel"), "no such model");
        assert_eq!(redaction.apply(&"x".repeat(9000)).len(), 500);
        assert_eq!(
            piece("\"Hi\" he said to the whole world"),
            Some(" he said to the whole wo")
        );
        assert_eq!(piece("ééééééé"), None);
        assert_eq!(piece("éééééééé"), Some("éééééééé"));
    }
}
