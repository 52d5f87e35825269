//! Errors about the reasoning of earlier answers: a session must not become unusable because of its
//! history.

use super::ProviderError;
use crate::signed_reasoning::Wanted;
use crate::{ChatRequest, ChatRole, Content};

/// The statuses of an invalid request.
const BAD_REQUEST: [u16; 2] = [400, 422];

/// Fields of earlier reasoning, by the names in validation errors.
const FIELDS: [&str; 6] = [
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
    "extra_content",
    "provider_specific_fields",
    "encrypted_content",
];

/// Words for an unknown field.
const UNKNOWN: [&str; 8] = [
    "not permitted",
    "not allowed",
    "not supported",
    "forbidden",
    "unrecognized",
    "unknown",
    "unsupported",
    "unexpected",
];

/// Messages that refuse earlier reasoning; all words of a line must occur.
const REFUSED: [&[&str]; 8] = [
    // Anthropic: "messages.1.content.0: Invalid `signature` in `thinking` block. The block is
    // bound to a different conversation." https://github.com/anomalyco/opencode/issues/48637
    &["signature", "thinking"],
    // "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be
    // modified." https://github.com/router-for-me/CLIProxyAPI/issues/3624
    &["thinking", "cannot be modified"],
    // "When `thinking` is enabled, a final `assistant` message must start with a thinking block"
    // https://github.com/anthropics/claude-code/issues/14264
    &["must start with a thinking block"],
    // Gemini: "Thought signature is not valid"
    // https://github.com/NoeFabris/opencode-antigravity-auth/issues/368
    &["thought", "signature"],
    // OpenAI: "The encrypted content gAAA… could not be verified."
    // https://github.com/openai/codex/issues/8119
    &["encrypted content", "could not be"],
    &["invalid_encrypted_content"],
    // OpenAI: "Item 'rs_…' of type 'reasoning' was provided without its required following item."
    // https://github.com/coder/mux/pull/59
    &["'reasoning'", "required following item"],
    // OpenAI: "Item with id 'rs_…' not found. Items are not persisted when `store` is set to false."
    &["item with id 'rs_", "not found"],
];

/// Messages that require missing earlier reasoning.
const MISSED: [&[&str]; 4] = [
    // DeepSeek: "The `reasoning_content` in the thinking mode must be passed back to the API.",
    // also of `content[].thinking`. https://github.com/anomalyco/opencode/issues/24122
    &["must be passed back"],
    // Kimi: "thinking is enabled but reasoning_content is missing in assistant tool call message"
    &["reasoning_content", "missing"],
    // Gemini: "Function call is missing a thought_signature in functionCall parts."
    // https://github.com/openai/openai-agents-python/issues/2137
    &["missing", "thought_signature"],
    &["missing", "thought signature"],
];

impl ProviderError {
    /// The earlier reasoning with which a refused request may succeed.
    pub(crate) fn wanted_past(&self, status: u16) -> Option<Wanted> {
        if !BAD_REQUEST.contains(&status) {
            return None;
        }
        let words = format!("{} {}", self.code, self.message).to_lowercase();
        let has = |one: &&str| words.contains(one);
        let says = |lines: &[&[&str]]| lines.iter().any(|line| line.iter().all(&has));
        if says(&MISSED) {
            return Some(Wanted::Everything);
        }
        let is_unknown_field = FIELDS.iter().any(has) && UNKNOWN.iter().any(has);
        (is_unknown_field || says(&REFUSED)).then_some(Wanted::Nothing)
    }
}

impl Wanted {
    /// Returns true if this changes the request: otherwise it would be refused again.
    pub(crate) fn differs_for(self, request: &ChatRequest) -> bool {
        let answers = request.messages.iter();
        let answers = answers.filter(|message| message.role == ChatRole::Assistant);
        let mut contents = answers.flat_map(|message| &message.content);
        contents.any(|content| match content {
            Content::Reasoning { .. } => true,
            Content::ToolCall { .. } => self == Self::Everything,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ProviderError, Wanted};

    #[test]
    fn errors_about_earlier_reasoning_are_recognised() {
        let wanted =
            |status, body: &str| ProviderError::of_body(body.as_bytes()).wanted_past(status);
        for message in [
            "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.",
            "messages.19.content.5: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
            "messages.47.content.0.type: Expected thinking or redacted_thinking, but found tool_use. When thinking is enabled, a final assistant message must start with a thinking block",
            "Unable to submit request because Thought signature is not valid.",
            "The encrypted content gAAA...DQ== could not be verified.",
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
            "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
            "messages.2.assistant.reasoning_content: Extra inputs are not permitted",
        ] {
            let body = serde_json::json!({ "error": { "message": message } }).to_string();
            assert_eq!(wanted(400, &body), Some(Wanted::Nothing), "{message}");
            assert_eq!(wanted(500, &body), None);
        }
        for message in [
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
            "Function call is missing a thought_signature in functionCall parts.",
        ] {
            let body = serde_json::json!({ "error": { "message": message } }).to_string();
            assert_eq!(wanted(400, &body), Some(Wanted::Everything), "{message}");
        }
        for message in [
            "thinking.type: Input should be 'adaptive'",
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
            "Unsupported value: 'temperature' does not support 0.5 with this model.",
            "temporary",
        ] {
            let body = serde_json::json!({ "error": { "message": message } }).to_string();
            assert_eq!(wanted(400, &body), None, "{message}");
        }
    }
}
