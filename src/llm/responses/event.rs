//! The objects of an answer: a stream's events, or a whole response.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{FinishReason, Usage};

/// What is read first of an event: the vendor has some fifty kinds, and their fields of
/// one name have different types.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) r#type: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Kind {
    #[serde(rename = "response.output_item.added")]
    ItemAdded,
    #[serde(rename = "response.output_item.done")]
    ItemDone,
    #[serde(rename = "response.output_text.delta")]
    Text,
    #[serde(rename = "response.refusal.delta")]
    Refusal,
    #[serde(rename = "response.reasoning_summary_part.added")]
    SummaryAdded,
    #[serde(rename = "response.reasoning_summary_text.delta")]
    Summary,
    /// Of open models, which do not keep their reasoning to themselves.
    #[serde(rename = "response.reasoning_text.delta")]
    Reasoning,
    #[serde(rename = "response.function_call_arguments.delta")]
    Arguments,
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone,
    #[serde(rename = "response.completed")]
    Completed,
    #[serde(rename = "response.incomplete")]
    Incomplete,
    #[serde(rename = "response.failed")]
    Failed,
    #[serde(rename = "response.cancelled")]
    Cancelled,
    #[serde(rename = "error")]
    Error,
    /// What repeats what the deltas have said, or is of the vendor's own tools.
    #[serde(other)]
    Other,
}

/// An event that matters.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) output_index: u64,
    #[serde(default)]
    pub(super) summary_index: u64,
    #[serde(default)]
    pub(super) delta: Option<String>,
    #[serde(default)]
    pub(super) arguments: Option<String>,
    #[serde(default)]
    pub(super) item: Option<Item>,
    #[serde(default)]
    pub(super) response: Option<Response>,
}

/// An item of the output, as it begins or as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) r#type: ItemKind,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) call_id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) arguments: Option<String>,
    #[serde(default)]
    pub(super) status: Option<Status>,
    #[serde(default)]
    pub(super) encrypted_content: Option<String>,
    #[serde(default)]
    pub(super) summary: Option<Vec<Piece>>,
    #[serde(default)]
    pub(super) content: Option<Vec<Piece>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ItemKind {
    Message,
    FunctionCall,
    Reasoning,
    /// Of the vendor's own tools; none is asked for.
    #[serde(other)]
    Other,
}

/// A piece of a message or of a reasoning.
#[derive(Debug, Deserialize)]
pub(super) struct Piece {
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) refusal: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Failed,
    Cancelled,
    Incomplete,
    /// `completed`, or whatever else.
    #[serde(other)]
    Other,
}

/// A response: at the end of a stream, or as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) status: Option<Status>,
    #[serde(default)]
    pub(super) output: Option<Vec<Item>>,
    #[serde(default)]
    pub(super) usage: Option<Counts>,
    #[serde(default)]
    pub(super) error: Option<Value>,
    #[serde(default)]
    pub(super) incomplete_details: Option<Incomplete>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Incomplete {
    #[serde(default)]
    pub(super) reason: Option<IncompleteReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IncompleteReason {
    ContentFilter,
    /// `max_output_tokens`, or whatever else: there would have been more.
    #[serde(other)]
    Other,
}

impl Incomplete {
    pub(super) fn finish(self) -> FinishReason {
        match self.reason {
            Some(IncompleteReason::ContentFilter) => FinishReason::ContentFilter,
            _ => FinishReason::Length,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    /// From GPT-5.6 on, which charge for writing to the cache.
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl Counts {
    pub(super) fn usage(self) -> Usage {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: self.input_tokens.unwrap_or(0),
            output_tokens: self.output_tokens.unwrap_or(0),
            cached_input_tokens: input.cached_tokens.unwrap_or(0),
            cache_write_input_tokens: input.cache_write_tokens.unwrap_or(0),
            cache_write_1h_input_tokens: 0,
            reasoning_tokens: output.reasoning_tokens.unwrap_or(0),
        }
    }
}
