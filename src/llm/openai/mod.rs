//! Chat Completions as OpenAI defined them and many servers imitate: vLLM, Ollama,
//! llama.cpp, Groq, OpenRouter, Mistral, DeepSeek and others.

mod chunk;
mod content;
mod decoder;
mod dialect;
mod messages;
mod request;
mod signed;

use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};

use self::decoder::Decoder;
use self::dialect::Dialect;
use super::protocol::{Asked, Decode, Protocol, bearer, extended};
use super::{ChatRequest, LlmError};

/// The protocol, as one server speaks it.
pub(super) struct ChatCompletions {
    dialect: Dialect,
}

impl ChatCompletions {
    pub(super) fn of_host(host: &str) -> Self {
        Self {
            dialect: Dialect::of_host(host),
        }
    }
}

impl Protocol for ChatCompletions {
    fn url(&self, base: &Url, _model: &str) -> Url {
        extended(base, ["chat", "completions"])
    }

    fn body(&self, request: &ChatRequest) -> Result<Asked, LlmError> {
        request::body(request, self.dialect)
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
