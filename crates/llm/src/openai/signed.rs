//! Signed reasoning over Chat Completions: OpenAI has none here, so each server has a field of
//! its own.
//!
//! - Google's `extra_content.google.thought_signature` of a tool call:
//!   <https://ai.google.dev/gemini-api/docs/thought-signatures>
//! - LiteLLM's `provider_specific_fields.thought_signature` of a tool call, also behind
//!   `__thought__` in its id, and `thinking_blocks` of a message:
//!   <https://docs.litellm.ai/docs/reasoning_content>, <https://docs.litellm.ai/blog/gemini_3>
//! - OpenRouter's `reasoning_details` of a message:
//!   <https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks>

use serde_json::{Map, Value, json};

use crate::parts::Parts;
use crate::signed_reasoning::Signer;

/// Signs a call, in `extra_content`.
pub(super) const GOOGLE: Signer = Signer::of_account("google");
/// Signs a call, in `provider_specific_fields`.
pub(super) const LITELLM: Signer = Signer::of_account("litellm");
/// Signs a message's `reasoning_details`. They may be any vendor's.
pub(super) const DETAILS: Signer = Signer::of_prefix("openrouter");
/// Signs a message's `thinking_blocks`, which are Anthropic's.
pub(super) const BLOCKS: Signer = Signer::of_prefix("litellm-blocks");

/// Replaces the signature of a call that another model has made.
/// <https://ai.google.dev/gemini-api/docs/thought-signatures#faqs>
const UNSIGNED: &str = "skip_thought_signature_validator";

/// The separator before the signature in the id of a LiteLLM call.
const IN_ID: &str = "__thought__";

/// The maximum size of an answer's signed reasoning; longer ones are not sent back.
const MAX_BYTES: usize = 1_048_576;

/// The signature of a call that is about to start.
pub(super) fn sign_call(
    id: Option<&str>,
    extra_content: Option<&Value>,
    specific: [Option<&Value>; 2],
    parts: &mut Parts,
) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let google = extra_content.and_then(|extra| text(&extra["google"]["thought_signature"]));
    if let Some(signature) = google {
        return parts.signature(GOOGLE, &signature);
    }
    let mut specific = specific.into_iter().flatten();
    let own = specific.find_map(|fields| text(&fields["thought_signature"]));
    let own = own.or_else(|| Some(id?.split_once(IN_ID)?.1.to_owned()));
    if let Some(signature) = own.filter(|signature| !signature.is_empty()) {
        parts.signature(LITELLM, &signature);
    }
}

/// A call's `extra_content`.
pub(super) fn extra_content(signature: Option<&str>) -> Value {
    json!({ "google": { "thought_signature": signature.unwrap_or(UNSIGNED) } })
}

/// A call's `provider_specific_fields`.
pub(super) fn specific_fields(signature: &str) -> Value {
    json!({ "thought_signature": signature })
}

/// The signed reasoning of an answer, collected from its pieces.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    details: List,
    blocks: List,
}

/// Objects that arrive in pieces.
#[derive(Debug, Default)]
struct List {
    objects: Vec<Map<String, Value>>,
    bytes: usize,
}

impl Gathered {
    /// Adds the signed reasoning of a chunk.
    pub(super) fn add(&mut self, details: Option<Value>, blocks: Option<Value>) {
        self.details.add(details);
        self.blocks.add(blocks);
    }

    /// Emits the collected reasoning.
    pub(super) fn sign(&mut self, parts: &mut Parts) {
        for (list, signer) in [(&mut self.details, DETAILS), (&mut self.blocks, BLOCKS)] {
            let list = std::mem::take(list);
            if list.is_whole()
                && let Ok(json) = serde_json::to_string(&list.objects)
            {
                parts.signature(signer, &json);
            }
        }
    }
}

impl List {
    fn add(&mut self, pieces: Option<Value>) {
        let Some(Value::Array(pieces)) = pieces else {
            return;
        };
        for piece in pieces {
            let Value::Object(piece) = piece else {
                continue;
            };
            self.bytes += piece
                .values()
                .map(|value| value.as_str().map_or(8, str::len))
                .sum::<usize>();
            if self.bytes > MAX_BYTES {
                return self.objects.clear();
            }
            match self.objects.last_mut() {
                Some(last) if goes_on(last, &piece) => extend(last, piece),
                _ => self.objects.push(piece),
            }
        }
    }

    /// Returns true if it can be sent back: of LiteLLM's blocks only those with a signature can.
    fn is_whole(&self) -> bool {
        let is_signed = |object: &Map<String, Value>| match kind(object) {
            Some("thinking") => object.get("signature").is_some_and(is_filled),
            _ => true,
        };
        !self.objects.is_empty() && self.bytes <= MAX_BYTES && self.objects.iter().all(is_signed)
    }
}

/// The fields that arrive in pieces.
const TEXTS: [&str; 3] = ["text", "summary", "thinking"];

fn kind(object: &Map<String, Value>) -> Option<&str> {
    object.get("type")?.as_str()
}

fn is_filled(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// Returns true if a piece belongs to the object before it.
fn goes_on(last: &Map<String, Value>, piece: &Map<String, Value>) -> bool {
    let has_text = TEXTS.iter().any(|name| last.contains_key(*name));
    has_text
        && kind(last) == kind(piece)
        && last.get("index") == piece.get("index")
        && !last.get("signature").is_some_and(is_filled)
}

fn extend(last: &mut Map<String, Value>, piece: Map<String, Value>) {
    for (name, value) in piece {
        match last.get_mut(&name) {
            Some(Value::String(text)) if TEXTS.contains(&name.as_str()) => {
                text.push_str(value.as_str().unwrap_or_default());
            }
            _ if value.is_null() => {}
            _ => drop(last.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Gathered;

    #[test]
    fn pieces_become_whole() {
        let mut gathered = Gathered::default();
        let detail = |text: &str, signature: Option<&str>| json!([{ "type": "reasoning.text", "text": text, "signature": signature, "index": 0 }]);
        gathered.add(Some(detail("Let ", None)), None);
        gathered.add(Some(detail("me", None)), None);
        gathered.add(Some(detail("", Some("c2ln"))), None);
        let hidden = json!([{ "type": "reasoning.encrypted", "data": "ZW5j", "index": 1 }]);
        gathered.add(Some(hidden), None);
        let expected = json!([
            { "type": "reasoning.text", "text": "Let me", "signature": "c2ln", "index": 0 },
            { "type": "reasoning.encrypted", "data": "ZW5j", "index": 1 },
        ]);
        assert_eq!(json!(gathered.details.objects), expected);

        let block = |text: &str, signature: &str| json!([{ "type": "thinking", "thinking": text, "signature": signature }]);
        gathered.add(None, Some(block("One", "")));
        assert!(!gathered.blocks.is_whole(), "it has no signature yet");
        gathered.add(None, Some(block("", "czE=")));
        gathered.add(None, Some(block("Two", "czI=")));
        let expected = json!([
            { "type": "thinking", "thinking": "One", "signature": "czE=" },
            { "type": "thinking", "thinking": "Two", "signature": "czI=" },
        ]);
        assert_eq!(json!(gathered.blocks.objects), expected);
        assert!(gathered.blocks.is_whole());
        // Values that are not lists of objects are skipped.
        gathered.add(Some(json!("x")), Some(json!([1, null])));
        assert!(gathered.blocks.is_whole());
    }
}
