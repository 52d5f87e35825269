//! Chat Completions as OpenAI defined them and many servers imitate: vLLM, Ollama,
//! llama.cpp, Groq, OpenRouter, Mistral, DeepSeek and others.

mod chunk;
mod content;
mod decoder;
mod messages;
mod request;
mod signed;

use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};

use self::decoder::Decoder;
use super::protocol::{Asked, Decode, Protocol, bearer, extended};
use super::{ChatRequest, LlmError};

/// The protocol.
pub(super) struct ChatCompletions;

impl Protocol for ChatCompletions {
    fn url(&self, base: &Url, _model: &str) -> Url {
        extended(base, ["chat", "completions"])
    }

    fn body(&self, request: &ChatRequest) -> Result<Asked, LlmError> {
        request::body(request)
    }

    fn headers(
        &self,
        headers: &mut HeaderMap,
        key: Option<&str>,
    ) -> Result<(), InvalidHeaderValue> {
        bearer(headers, key)
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder::default())
    }
}
