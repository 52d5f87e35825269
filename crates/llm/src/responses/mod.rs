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
use super::protocol::{Asked, Decode, Protocol, bearer, extended};
use super::signed_reasoning::Signer;
use super::{ChatRequest, LlmError};

/// Encrypts reasoning for one organisation and one model. Another's is refused with
/// `invalid_encrypted_content`. The item that it led to must follow it, and a call is identified by
/// its id.
const SIGNED: Signer = Signer::of_account("responses").naming_its_call();

/// The protocol.
pub(super) struct Responses;

impl Protocol for Responses {
    fn url(&self, base: &Url, _model: &str) -> Url {
        extended(base, ["responses"])
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
