//! The objects of an answer: each event of a stream is a whole response with what is new.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{FinishReason, Usage};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    #[serde(default)]
    pub(super) candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    pub(super) prompt_feedback: Option<Feedback>,
    #[serde(default)]
    pub(super) usage_metadata: Option<Counts>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback {
    /// Why the prompt itself was refused; there is no candidate then.
    #[serde(default)]
    pub(super) block_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    #[serde(default)]
    pub(super) content: Option<Content>,
    #[serde(default)]
    pub(super) finish_reason: Option<Reason>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content {
    #[serde(default)]
    pub(super) parts: Option<Vec<Part>>,
}

/// A part. Those of the vendor's own tools have none of these fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    #[serde(default)]
    pub(super) text: Option<String>,
    /// Whether the text is a thought.
    #[serde(default)]
    pub(super) thought: Option<bool>,
    #[serde(default)]
    pub(super) thought_signature: Option<String>,
    #[serde(default)]
    pub(super) function_call: Option<FunctionCall>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FunctionCall {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) args: Option<Map<String, Value>>,
}

/// Why a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Reason {
    MaxTokens,
    Safety,
    Recitation,
    Language,
    Blocklist,
    ProhibitedContent,
    Spii,
    ImageSafety,
    ImageProhibitedContent,
    ImageRecitation,
    /// The model's call could not be read: there is none in the answer.
    MalformedFunctionCall,
    MalformedResponse,
    UnexpectedToolCall,
    TooManyToolCalls,
    MissingThoughtSignature,
    /// `STOP`, and whatever else: the model was done.
    #[serde(other)]
    Other,
}

impl Reason {
    /// The finish reason; none if there is no answer that could be used.
    pub(super) fn finish(self) -> Option<FinishReason> {
        match self {
            Self::Other => Some(FinishReason::Stop),
            Self::MaxTokens => Some(FinishReason::Length),
            Self::Safety
            | Self::Recitation
            | Self::Language
            | Self::Blocklist
            | Self::ProhibitedContent
            | Self::Spii
            | Self::ImageSafety
            | Self::ImageProhibitedContent
            | Self::ImageRecitation => Some(FinishReason::ContentFilter),
            Self::MalformedFunctionCall
            | Self::MalformedResponse
            | Self::UnexpectedToolCall
            | Self::TooManyToolCalls
            | Self::MissingThoughtSignature => None,
        }
    }
}

/// Token counts, from the start of the answer.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counts {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    /// Without thoughts.
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl Counts {
    pub(super) fn usage(self) -> Usage {
        let thoughts = self.thoughts_token_count.unwrap_or(0);
        let own_tools = self.tool_use_prompt_token_count.unwrap_or(0);
        Usage {
            input_tokens: self
                .prompt_token_count
                .unwrap_or(0)
                .saturating_add(own_tools),
            output_tokens: self
                .candidates_token_count
                .unwrap_or(0)
                .saturating_add(thoughts),
            cached_input_tokens: self.cached_content_token_count.unwrap_or(0),
            // Written implicitly, and not charged: https://ai.google.dev/gemini-api/docs/caching
            cache_write_input_tokens: 0,
            cache_write_1h_input_tokens: 0,
            reasoning_tokens: thoughts,
        }
    }
}
