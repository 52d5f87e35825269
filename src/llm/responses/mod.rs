//! OpenAI's Responses, which other servers have begun to imitate.
//!
//! <https://platform.openai.com/docs/api-reference/responses>. Nothing is stored there:
//! each request has the whole conversation, with the reasoning that led to its tool calls
//! in the encrypted form that only its author can read.

mod decoder;
mod event;
mod input;
mod items;
mod request;

use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};

use self::decoder::Decoder;
use super::protocol::{Decode, Protocol, bearer, extended};
use super::{ChatRequest, LlmError};

/// The protocol, as one server speaks it.
pub(super) struct Responses {
    /// Begins the signature of a reasoning. It has the host's name, as no host can read
    /// what another has encrypted.
    signer: String,
}

impl Responses {
    pub(super) fn of_host(host: &str) -> Self {
        Self {
            signer: format!("responses@{host}"),
        }
    }
}

impl Protocol for Responses {
    fn url(&self, base: &Url, _model: &str) -> Url {
        extended(base, ["responses"])
    }

    fn body(&self, request: &ChatRequest) -> Result<Vec<u8>, LlmError> {
        request::body(request, &self.signer)
    }

    fn headers(
        &self,
        headers: &mut HeaderMap,
        key: Option<&str>,
    ) -> Result<(), InvalidHeaderValue> {
        bearer(headers, key)
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder::new(self.signer.clone()))
    }
}
