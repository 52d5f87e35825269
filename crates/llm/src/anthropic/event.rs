//! The objects of an answer: a stream's events, or a whole message.
//!
//! Each is one flat struct for all kinds: serde's tagged enums copy every text before they know its
//! variant.

use crate::lenient::{Count, Id, Json, Loose, OddCount, Problem, object, or_zero, required};
use talkgraph_domain::{FinishReason, Usage};

object! {
    /// An event, by its type; also a whole message, and an error.
    pub(super) struct Event {
        pub(super) r#type: Kind = "type",
        pub(super) index: u64 = "index",
        pub(super) message: Started = "message",
        pub(super) content_block: Block = "content_block",
        pub(super) delta: Delta = "delta",
        pub(super) usage: Counts = "usage",
        pub(super) error: Problem = "error",
        // Of a whole message.
        pub(super) content: Vec<Block> = "content",
        pub(super) stop_reason: StopReason = "stop_reason",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    Error,
    Message,
    /// `ping`, and future events.
    Other,
}

impl Kind {
    /// The kind of an event's name.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "message_start" => Self::MessageStart,
            "content_block_start" => Self::ContentBlockStart,
            "content_block_delta" => Self::ContentBlockDelta,
            "content_block_stop" => Self::ContentBlockStop,
            "message_delta" => Self::MessageDelta,
            "message_stop" => Self::MessageStop,
            "error" => Self::Error,
            "message" => Self::Message,
            _ => Self::Other,
        }
    }
}

impl Loose for Kind {
    fn of_text(text: &str) -> Option<Self> {
        Some(Self::named(text))
    }
}

object! {
    /// A message at its start, without content yet.
    pub(super) struct Started {
        pub(super) usage: Counts = "usage",
    }
}

object! {
    /// A block of content, at its start or as a whole.
    pub(super) struct Block {
        pub(super) r#type: BlockKind = "type",
        pub(super) text: String = "text",
        pub(super) thinking: String = "thinking",
        pub(super) signature: String = "signature",
        pub(super) data: String = "data",
        pub(super) id: Id = "id",
        pub(super) name: String = "name",
        /// Empty at the start of a stream's block, according to the documentation.
        pub(super) input: Json = "input",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Text,
    Thinking,
    RedactedThinking,
    ToolUse,
}

impl Loose for BlockKind {
    /// The vendor's own tools have no kind here; none is requested.
    fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "thinking" => Self::Thinking,
            "redacted_thinking" => Self::RedactedThinking,
            "tool_use" => Self::ToolUse,
            _ => return None,
        })
    }
}

object! {
    /// A delta of a block, or of the message at its end. Its fields distinguish them.
    pub(super) struct Delta {
        pub(super) text: String = "text",
        pub(super) thinking: String = "thinking",
        pub(super) signature: String = "signature",
        pub(super) partial_json: String = "partial_json",
        pub(super) stop_reason: StopReason = "stop_reason",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    MaxTokens,
    ModelContextWindowExceeded,
    ToolUse,
    Refusal,
    /// `end_turn`, `stop_sequence` and unknown reasons: the model has finished.
    Other,
}

impl Loose for StopReason {
    fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "" => return None,
            "max_tokens" => Self::MaxTokens,
            "model_context_window_exceeded" => Self::ModelContextWindowExceeded,
            "tool_use" => Self::ToolUse,
            "refusal" => Self::Refusal,
            _ => Self::Other,
        })
    }
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

object! {
    /// Token counts; each event has some of them, all cumulative.
    #[derive(Clone, Copy)]
    pub(super) struct Counts {
        /// Without tokens that were read from the cache or written to it.
        input_tokens: Count = "input_tokens",
        cache_creation_input_tokens: Count = "cache_creation_input_tokens",
        /// The written tokens by their lifetime.
        cache_creation: Creation = "cache_creation",
        cache_read_input_tokens: Count = "cache_read_input_tokens",
        output_tokens: Count = "output_tokens",
        output_tokens_details: Details = "output_tokens_details",
    }
}

object! {
    #[derive(Clone, Copy)]
    struct Details {
        thinking_tokens: Count = "thinking_tokens",
    }
}

object! {
    #[derive(Clone, Copy)]
    struct Creation {
        ephemeral_5m_input_tokens: Count = "ephemeral_5m_input_tokens",
        ephemeral_1h_input_tokens: Count = "ephemeral_1h_input_tokens",
    }
}

impl Counts {
    /// These counts, with `known` in place of missing ones.
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

    /// The usage; none without counts.
    pub(super) fn into_usage(self) -> Option<Result<Usage, OddCount>> {
        self.input_tokens.or(self.output_tokens)?;
        Some(self.usage())
    }

    fn usage(self) -> Result<Usage, OddCount> {
        let cached = or_zero(self.cache_read_input_tokens)?;
        let creation = self.cache_creation.unwrap_or_default();
        let written_1h = or_zero(creation.ephemeral_1h_input_tokens)?;
        let written = match self.cache_creation_input_tokens {
            None => or_zero(creation.ephemeral_5m_input_tokens)?.saturating_add(written_1h),
            written => or_zero(written)?,
        };
        let details = self.output_tokens_details.unwrap_or_default();
        Ok(Usage {
            input_tokens: required(self.input_tokens)?
                .saturating_add(written)
                .saturating_add(cached),
            output_tokens: required(self.output_tokens)?,
            cached_input_tokens: cached,
            cache_write_input_tokens: written,
            cache_write_1h_input_tokens: written_1h.min(written),
            reasoning_tokens: or_zero(details.thinking_tokens)?,
        })
    }
}
