//! The objects of an answer: each event of a stream is a whole response with the new parts.
//!
//! Some gateways use the names of the vendor's Python library.

use crate::lenient::{Count, Id, Json, Loose, OddCount, Problem, object, or_zero};
use talkgraph_domain::{FinishReason, Usage};

object! {
    pub(super) struct Response {
        pub(super) candidates: Vec<Candidate> = "candidates",
        pub(super) prompt_feedback: Feedback = "promptFeedback" | "prompt_feedback",
        pub(super) usage_metadata: Counts = "usageMetadata" | "usage_metadata",
        pub(super) error: Problem = "error",
    }
}

object! {
    pub(super) struct Feedback {
        /// The reason why the prompt itself was refused; there is no candidate then.
        pub(super) block_reason: String = "blockReason" | "block_reason",
    }
}

object! {
    pub(super) struct Candidate {
        pub(super) content: Content = "content",
        pub(super) finish_reason: Reason = "finishReason" | "finish_reason",
    }
}

object! {
    pub(super) struct Content {
        pub(super) parts: Vec<Part> = "parts",
    }
}

object! {
    /// A part. Those of the vendor's own tools have none of these fields.
    pub(super) struct Part {
        pub(super) text: String = "text",
        /// True if the text is a thought.
        pub(super) thought: bool = "thought",
        pub(super) thought_signature: String = "thoughtSignature" | "thought_signature",
        pub(super) function_call: FunctionCall = "functionCall" | "function_call",
    }
}

object! {
    pub(super) struct FunctionCall {
        pub(super) id: Id = "id",
        pub(super) name: String = "name",
        pub(super) args: Json = "args",
    }
}

/// The reason why a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The answer is finished.
    Finished(FinishReason),
    /// The model's call could not be parsed, and is missing in the answer.
    Malformed,
    /// The request lacks a signature. The same request would fail again.
    Unsigned,
}

impl Loose for Reason {
    fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "" | "FINISH_REASON_UNSPECIFIED" => return None,
            "MAX_TOKENS" => Self::Finished(FinishReason::Length),
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Self::Finished(FinishReason::ContentFilter),
            "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS" => Self::Malformed,
            "MISSING_THOUGHT_SIGNATURE" => Self::Unsigned,
            // `STOP` and unknown reasons: the model has finished.
            _ => Self::Finished(FinishReason::Stop),
        })
    }
}

object! {
    /// Token counts, from the start of the answer. Those that are 0 are left out.
    pub(super) struct Counts {
        prompt_token_count: Count = "promptTokenCount" | "prompt_token_count",
        tool_use_prompt_token_count: Count = "toolUsePromptTokenCount" | "tool_use_prompt_token_count",
        cached_content_token_count: Count = "cachedContentTokenCount" | "cached_content_token_count",
        /// Without thoughts.
        candidates_token_count: Count = "candidatesTokenCount" | "candidates_token_count",
        thoughts_token_count: Count = "thoughtsTokenCount" | "thoughts_token_count",
    }
}

impl Counts {
    /// The usage; none without counts.
    pub(super) fn into_usage(self) -> Option<Result<Usage, OddCount>> {
        self.prompt_token_count.or(self.candidates_token_count)?;
        Some(self.usage())
    }

    fn usage(self) -> Result<Usage, OddCount> {
        let thoughts = or_zero(self.thoughts_token_count)?;
        let own_tools = or_zero(self.tool_use_prompt_token_count)?;
        Ok(Usage {
            input_tokens: or_zero(self.prompt_token_count)?.saturating_add(own_tools),
            output_tokens: or_zero(self.candidates_token_count)?.saturating_add(thoughts),
            cached_input_tokens: or_zero(self.cached_content_token_count)?,
            // Caches are written implicitly, without charge:
            // https://ai.google.dev/gemini-api/docs/caching
            cache_write_input_tokens: 0,
            cache_write_1h_input_tokens: 0,
            reasoning_tokens: thoughts,
        })
    }
}
