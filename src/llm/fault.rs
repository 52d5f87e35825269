//! What a provider says when it fails: classified, logged, and never passed on.

use std::time::Duration;

use serde_json::Value;
use tracing::Span;

use super::{ChatRequest, Content, FileData, LlmError};

mod past;

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
    /// The key is a wrong one, whatever the status says (Gemini).
    wrong_key: bool,
}

/// The context was too small, in the words of those who have no code for it, and whether
/// the limit is the first number after them or the last. OpenAI's are also vLLM's.
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

/// The model takes no tools, for which nobody has a code.
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

#[derive(Debug, Clone, Copy)]
enum Number {
    First,
    Last,
}

impl Fault {
    /// Reads the body of an answer with an error status.
    pub(super) fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                // Gemini puts it into a list when it streams.
                let value = value.get(0).unwrap_or(&value);
                // Older vLLM has the fields at the top.
                Self::of_value(value.get("error").unwrap_or(value))
            }
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
        let or = |first: String, key| if first.is_empty() { text(key) } else { first };
        let details = value.get("details").and_then(Value::as_array);
        let mut details = details.into_iter().flatten();
        Self {
            code: text("code"),
            // Gemini's name.
            kind: or(text("type"), "status"),
            // Ollama writes a bare string.
            message: value
                .as_str()
                .map_or_else(|| text("message"), str::to_owned),
            context_tokens: text("n_ctx").parse().ok(),
            wrong_key: details.any(|detail| detail["reason"] == "API_KEY_INVALID"),
        }
    }

    /// The error, for an answer with this status.
    pub(super) fn with_status(&self, status: u16, retry_after: Option<Duration>) -> LlmError {
        let mapped = LlmError::of_status(status, retry_after);
        match mapped {
            LlmError::Rejected { .. } if self.wrong_key => LlmError::Auth,
            LlmError::Rejected { .. } | LlmError::Unavailable if self.is_of_tools() => {
                LlmError::ToolsUnsupported { model: None }
            }
            LlmError::Rejected { .. } => self.context_exceeded().unwrap_or(mapped),
            mapped => mapped,
        }
    }

    /// The error, for one inside a stream that began well.
    pub(super) fn in_stream(&self) -> LlmError {
        if let Some(error) = self.context_exceeded() {
            return error;
        }
        if let Ok(status @ 400..600) = self.code.parse() {
            return self.with_status(status, None);
        }
        let words = [self.code.as_str(), self.kind.as_str()];
        words
            .into_iter()
            .find_map(of_word)
            .unwrap_or(LlmError::Unavailable)
    }

    fn is_of_tools(&self) -> bool {
        TOOLS_WORDS.iter().any(|words| self.message.contains(words))
    }

    /// OpenAI has a code for it, llama.cpp a type, the others only words, in which most
    /// tell the limit.
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

    /// Writes it to the log, which is the only place a provider's words go.
    pub(super) fn log(&self, span: &Span, provider: &str, status: u16, redaction: &Redaction) {
        tracing::warn!(
            parent: span,
            provider,
            status,
            provider_code = redaction.apply(&self.code),
            provider_kind = redaction.apply(&self.kind),
            reason = redaction.apply(&self.message),
            "the model provider answered with an error"
        );
    }
}

/// The error that a code or a kind stands for, where it says more than that something is
/// wrong.
fn of_word(word: &str) -> Option<LlmError> {
    Some(match word {
        "rate_limit_exceeded" | "insufficient_quota" | "rate_limit_error" => {
            LlmError::RateLimited { retry_after: None }
        }
        "overloaded_error" => LlmError::Overloaded { retry_after: None },
        "invalid_api_key" | "authentication_error" | "permission_error" => LlmError::Auth,
        "invalid_request_error" | "invalid_prompt" => LlmError::Rejected { status: 400 },
        "billing_error" => LlmError::Rejected { status: 402 },
        "not_found_error" => LlmError::Rejected { status: 404 },
        "request_too_large" => LlmError::Rejected { status: 413 },
        _ => return None,
    })
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
    /// A piece of each message of the prompt, and the key.
    pieces: Vec<Box<str>>,
}

/// The part of a message that is looked for. Shorter ones are not: they are words.
const PIECE_CHARS: std::ops::RangeInclusive<usize> = 8..=24;
/// What is logged of a text at most.
const LOGGED_CHARS: usize = 500;

impl Redaction {
    pub(super) fn new(request: &ChatRequest, key: Option<&str>) -> Self {
        let contents = request.messages.iter().flat_map(|message| &message.content);
        let prompts = contents.filter_map(|content| piece(said(content)));
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

/// What a provider could repeat of a content.
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
    use crate::llm::LlmError::{
        self, Auth, ContextExceeded, Overloaded, RateLimited, Rejected, Unavailable,
    };

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
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}"#,
                exceeded(Some(200_000)),
            ),
            (
                r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
                exceeded(Some(1_048_576)),
            ),
            (
                r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
                Auth,
            ),
        ] {
            assert_eq!(
                Fault::of_body(body.as_bytes()).with_status(400, None),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn a_model_without_tools_is_recognised() {
        for (status, body) in [
            (
                400,
                r#"{"error":{"message":"registry.ollama.ai/library/gemma3:4b does not support tools","type":"api_error","param":null,"code":null}}"#,
            ),
            (
                400,
                r#"{"error":"registry.ollama.ai/library/qwen:4b does not support tools"}"#,
            ),
            (
                404,
                r#"{"error":{"message":"No endpoints found that support tool use","code":404}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","code":400}}"#,
            ),
            (
                500,
                r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
            ),
        ] {
            let fault = Fault::of_body(body.as_bytes());
            let expected = LlmError::ToolsUnsupported { model: None };
            assert_eq!(fault.with_status(status, None), expected, "{body}");
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
        let overloaded = Overloaded { retry_after: None };
        assert_eq!(of(r#"{"type":"overloaded_error"}"#), overloaded);
        let large = Rejected { status: 413 };
        assert_eq!(of(r#"{"type":"request_too_large"}"#), large);
        assert_eq!(of(r#"{"code":503,"status":"UNAVAILABLE"}"#), overloaded);
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
