//! Anthropic's Messages, which other servers imitate too.
//!
//! <https://platform.claude.com/docs/en/api/messages>. Each request marks the parts to cache, so
//! that the next step of a run, and other runs of the same agent, pay a tenth for the repeated
//! parts: the instructions with the tools, and the conversation so far.

mod decoder;
mod event;
mod messages;
mod request;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, InvalidHeaderValue};

use self::decoder::Decoder;
use super::protocol::{Asked, Decode, Protocol, extended, secret_header};
use super::signed_reasoning::Signer;
use super::{ChatRequest, LlmError};

/// Signs thinking blocks.
const SIGNED: Signer = Signer::of_prefix("anthropic");
/// Signs blocks whose thinking is withheld.
const REDACTED: Signer = Signer::of_prefix("anthropic-redacted");

/// The protocol.
pub(super) struct Messages;

impl Protocol for Messages {
    fn url(&self, base: &Url, _model: &str) -> Url {
        extended(base, ["messages"])
    }

    fn body(&self, request: &ChatRequest) -> Result<Asked, LlmError> {
        request::body(request)
    }

    fn headers(
        &self,
        headers: &mut HeaderMap,
        key: Option<&str>,
    ) -> Result<(), InvalidHeaderValue> {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        if let Some(key) = key {
            headers.insert("x-api-key", secret_header(key)?);
        }
        Ok(())
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder::default())
    }
}
