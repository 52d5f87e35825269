//! The objects of an answer: a stream's events, or a whole message.
//!
//! Each is one flat struct for all kinds: serde's enums with a tag inside copy every text
//! before they know where it belongs.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{FinishReason, Usage};

/// An event, by its type; also a whole message, and an error.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) r#type: Kind,
    #[serde(default)]
    pub(super) index: u64,
    #[serde(default)]
    pub(super) message: Option<Started>,
    #[serde(default)]
    pub(super) content_block: Option<Block>,
    #[serde(default)]
    pub(super) delta: Option<Delta>,
    #[serde(default)]
    pub(super) usage: Option<Counts>,
    #[serde(default)]
    pub(super) error: Option<Value>,
    /// A whole message's.
    #[serde(default)]
    pub(super) content: Vec<Block>,
    /// A whole message's.
    #[serde(default)]
    pub(super) stop_reason: Option<StopReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    Error,
    Message,
    /// `ping`, and what is yet to be invented.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Started {
    #[serde(default)]
    pub(super) usage: Option<Counts>,
}

/// A block of content, as it starts or as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct Block {
    pub(super) r#type: BlockKind,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thinking: Option<String>,
    #[serde(default)]
    pub(super) signature: Option<String>,
    #[serde(default)]
    pub(super) data: Option<String>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Empty at the start of a stream's block, by the book.
    #[serde(default)]
    pub(super) input: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BlockKind {
    Text,
    Thinking,
    RedactedThinking,
    ToolUse,
    /// What the vendor's own tools do; none is asked for.
    #[serde(other)]
    Other,
}

/// What comes of a block, or of the message at its end. A field of it says which.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) partial_json: Option<String>,
    pub(super) stop_reason: Option<StopReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StopReason {
    MaxTokens,
    ModelContextWindowExceeded,
    ToolUse,
    Refusal,
    /// `end_turn`, `stop_sequence` and whatever else: the model was done.
    #[serde(other)]
    Other,
}

impl StopReason {
    pub(super) fn finish(self) -> FinishReason {
        match self {
            Self::MaxTokens | Self::ModelContextWindowExceeded => FinishReason::Length,
            Self::ToolUse => FinishReason::ToolCalls,
            Self::Refusal => FinishReason::ContentFilter,
            Self::Other => FinishReason::Stop,
        }
    }
}

/// Token counts; each event has some of them, all counted from the start.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    /// Without what is read from the cache or written to it.
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    /// The written tokens by their lifetime.
    cache_creation: Option<Creation>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

impl Counts {
    /// These where there are some, and else what was known.
    pub(super) fn or(self, known: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.or(known.input_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .or(known.cache_creation_input_tokens),
            cache_creation: self.cache_creation.or(known.cache_creation),
            cache_read_input_tokens: self
                .cache_read_input_tokens
                .or(known.cache_read_input_tokens),
            output_tokens: self.output_tokens.or(known.output_tokens),
            output_tokens_details: self.output_tokens_details.or(known.output_tokens_details),
        }
    }

    pub(super) fn usage(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let creation = self.cache_creation.unwrap_or_default();
        let written_1h = creation.ephemeral_1h_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or_else(|| {
            let written_5m = creation.ephemeral_5m_input_tokens.unwrap_or(0);
            written_5m.saturating_add(written_1h)
        });
        let details = self.output_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: self
                .input_tokens
                .unwrap_or(0)
                .saturating_add(written)
                .saturating_add(cached),
            output_tokens: self.output_tokens.unwrap_or(0),
            cached_input_tokens: cached,
            cache_write_input_tokens: written,
            cache_write_1h_input_tokens: written_1h.min(written),
            reasoning_tokens: details.thinking_tokens.unwrap_or(0),
        }
    }
}
