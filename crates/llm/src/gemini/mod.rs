//! Google's Gemini.
//!
//! <https://ai.google.dev/api/generate-content>. The model's thoughts go back as the
//! signatures that came with them, each on the part it came on: Gemini 3 refuses a tool
//! call without (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

mod contents;
mod decoder;
mod event;
mod request;

use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};

use self::decoder::Decoder;
use super::protocol::{Asked, Decode, Protocol, extended, secret_header};
use super::signed_reasoning::Signer;
use super::{ChatRequest, LlmError};

/// Signs the next call.
const SIGNED_CALL: Signer = Signer::of_account("gemini");
/// Signs a text; the signature goes back as a part of its own.
const SIGNED_TEXT: Signer = Signer::of_account("gemini-text");

/// The protocol.
pub(super) struct GenerateContent;

impl Protocol for GenerateContent {
    fn url(&self, base: &Url, model: &str) -> Url {
        let method = format!("{model}:streamGenerateContent");
        // `models/` may be left out, `tunedModels/` may not.
        let is_path = model.contains('/');
        let folder = (!is_path).then_some("models").into_iter();
        let mut url = extended(base, folder.chain(method.split('/')));
        url.query_pairs_mut().append_pair("alt", "sse");
        url
    }

    fn body(&self, request: &ChatRequest) -> Result<Asked, LlmError> {
        request::body(request)
    }

    fn headers(
        &self,
        headers: &mut HeaderMap,
        key: Option<&str>,
    ) -> Result<(), InvalidHeaderValue> {
        if let Some(key) = key {
            headers.insert("x-goog-api-key", secret_header(key)?);
        }
        Ok(())
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder::default())
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::{GenerateContent, Protocol};

    #[test]
    fn a_model_is_a_part_of_the_path() {
        let of = |base: &str, model: &str| {
            let base = Url::parse(base).unwrap();
            GenerateContent.url(&base, model).to_string()
        };
        let path = "http://h/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse";
        assert_eq!(of("http://h/v1beta", "gemini-3-pro"), path);
        assert_eq!(of("http://h/v1beta/", "models/gemini-3-pro"), path);
        assert_eq!(
            of("http://h/v1beta?a=1", "tunedModels/../x?y"),
            "http://h/v1beta/tunedModels/x%3Fy:streamGenerateContent?a=1&alt=sse"
        );
    }
}
