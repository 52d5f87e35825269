//! The objects of an answer: a stream's events, or a whole response.

use crate::lenient::{Count, Id, Json, Loose, OddCount, Problem, object, or_zero, required};
use talkgraph_domain::{FinishReason, Usage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ItemAdded,
    ItemDone,
    Text,
    TextDone,
    Refusal,
    RefusalDone,
    SummaryAdded,
    Summary,
    SummaryDone,
    /// Used by open models, whose reasoning is not encrypted.
    Reasoning,
    ReasoningDone,
    Arguments,
    ArgumentsDone,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
    Error,
    /// Events that repeat the deltas, or belong to the vendor's own tools.
    Other,
}

impl Kind {
    /// The kind of an event's name.
    pub(super) fn named(name: &str) -> Self {
        match name.strip_prefix("response.").unwrap_or(name) {
            "output_item.added" => Self::ItemAdded,
            "output_item.done" => Self::ItemDone,
            "output_text.delta" => Self::Text,
            "output_text.done" => Self::TextDone,
            "refusal.delta" => Self::Refusal,
            "refusal.done" => Self::RefusalDone,
            "reasoning_summary_part.added" => Self::SummaryAdded,
            "reasoning_summary_text.delta" => Self::Summary,
            "reasoning_summary_text.done" => Self::SummaryDone,
            "reasoning_text.delta" => Self::Reasoning,
            "reasoning_text.done" => Self::ReasoningDone,
            "function_call_arguments.delta" => Self::Arguments,
            "function_call_arguments.done" => Self::ArgumentsDone,
            // Some imitations end with `done`.
            "completed" | "done" => Self::Completed,
            "incomplete" => Self::Incomplete,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            "error" => Self::Error,
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
    /// An event, or a response by itself. The vendor has some fifty kinds of events, and their
    /// fields of one name have different types: a field of another type is treated as absent.
    pub(super) struct Event {
        pub(super) r#type: Kind = "type",
        pub(super) output_index: u64 = "output_index",
        pub(super) item_id: Id = "item_id",
        pub(super) content_index: u64 = "content_index",
        pub(super) summary_index: u64 = "summary_index",
        pub(super) delta: String = "delta",
        pub(super) text: String = "text",
        pub(super) refusal: String = "refusal",
        pub(super) arguments: Json = "arguments",
        pub(super) item: Item = "item",
        pub(super) response: Response = "response",
        // A response's own.
        pub(super) status: Status = "status",
        pub(super) output: Vec<Item> = "output",
        pub(super) usage: Counts = "usage",
        pub(super) error: Problem = "error",
        pub(super) incomplete_details: Incomplete = "incomplete_details",
    }
}

object! {
    /// An item of the output, at its start or as a whole.
    pub(super) struct Item {
        pub(super) r#type: ItemKind = "type",
        pub(super) id: Id = "id",
        pub(super) call_id: Id = "call_id",
        pub(super) name: String = "name",
        pub(super) arguments: Json = "arguments",
        pub(super) status: Status = "status",
        pub(super) encrypted_content: String = "encrypted_content",
        pub(super) summary: Vec<Piece> = "summary",
        pub(super) content: Vec<Piece> = "content",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Message,
    FunctionCall,
    Reasoning,
}

impl Loose for ItemKind {
    /// The vendor's own tools have no kind here; none is requested.
    fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "message" => Self::Message,
            "function_call" => Self::FunctionCall,
            "reasoning" => Self::Reasoning,
            _ => return None,
        })
    }
}

object! {
    /// A piece of a message or of a reasoning.
    pub(super) struct Piece {
        pub(super) text: String = "text",
        pub(super) refusal: String = "refusal",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Failed,
    Cancelled,
    Incomplete,
    /// `completed`, or an unknown status.
    Other,
}

impl Loose for Status {
    fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            "incomplete" => Self::Incomplete,
            _ => Self::Other,
        })
    }
}

object! {
    /// A response: at the end of a stream, or as a whole.
    pub(super) struct Response {
        pub(super) status: Status = "status",
        pub(super) output: Vec<Item> = "output",
        pub(super) usage: Counts = "usage",
        pub(super) error: Problem = "error",
        pub(super) incomplete_details: Incomplete = "incomplete_details",
    }
}

impl From<Event> for Response {
    fn from(event: Event) -> Self {
        Self {
            status: event.status,
            output: event.output,
            usage: event.usage,
            error: event.error,
            incomplete_details: event.incomplete_details,
        }
    }
}

object! {
    pub(super) struct Incomplete {
        reason: String = "reason",
    }
}

impl Incomplete {
    pub(super) fn finish(&self) -> FinishReason {
        match self.reason.as_deref() {
            Some("content_filter") => FinishReason::ContentFilter,
            // `max_output_tokens`, or an unknown reason: the answer was cut.
            _ => FinishReason::Length,
        }
    }
}

object! {
    pub(super) struct Counts {
        input_tokens: Count = "input_tokens",
        output_tokens: Count = "output_tokens",
        input_tokens_details: InputDetails = "input_tokens_details",
        output_tokens_details: OutputDetails = "output_tokens_details",
    }
}

object! {
    struct InputDetails {
        cached_tokens: Count = "cached_tokens",
        /// Used from GPT-5.6 on, which charges for writing to the cache.
        cache_write_tokens: Count = "cache_write_tokens",
    }
}

object! {
    struct OutputDetails {
        reasoning_tokens: Count = "reasoning_tokens",
    }
}

impl Counts {
    /// The usage; none for an object without counts.
    pub(super) fn into_usage(self) -> Option<Result<Usage, OddCount>> {
        self.input_tokens.or(self.output_tokens)?;
        Some(self.usage())
    }

    fn usage(self) -> Result<Usage, OddCount> {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        Ok(Usage {
            input_tokens: required(self.input_tokens)?,
            output_tokens: required(self.output_tokens)?,
            cached_input_tokens: or_zero(input.cached_tokens)?,
            cache_write_input_tokens: or_zero(input.cache_write_tokens)?,
            cache_write_1h_input_tokens: 0,
            reasoning_tokens: or_zero(output.reasoning_tokens)?,
        })
    }
}
