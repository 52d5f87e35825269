//! The objects of an answer: a stream's chunks, or a whole completion.

use serde_json::Value;

use super::content::Said;
use super::signed;
use crate::calls::CallDelta;
use crate::lenient::{Count, Id, Json, Loose, OddCount, Problem, object, or_zero, required};
use crate::parts::Parts;
use talkgraph_domain::{FinishReason, Usage};

object! {
    /// The fields of a chunk, or of a completion in one piece, that are used. The rest, which is
    /// most of it, is skipped without being stored; texts are allocated once and moved on.
    pub(super) struct Chunk {
        choices: Vec<Choice> = "choices",
        usage: Counts = "usage",
        /// Some providers fail inside a stream that began with status 200.
        error: Problem = "error",
        /// Groq's place for the usage, and for errors of a stream.
        x_groq: Groq = "x_groq",
    }
}

object! {
    struct Groq {
        usage: Counts = "usage",
        error: Problem = "error",
    }
}

object! {
    /// The one requested choice.
    pub(super) struct Choice {
        pub(super) delta: Delta = "delta",
        /// Replaces `delta` when a provider does not stream; some send it in the last chunk, or in
        /// every one, with the text of all deltas.
        pub(super) message: Delta = "message",
        finish_reason: Reason = "finish_reason",
    }
}

object! {
    /// The content of a choice.
    pub(super) struct Delta {
        pub(super) content: Said = "content",
        /// DeepSeek's name, also llama.cpp's, SGLang's and older vLLM's.
        pub(super) reasoning_content: String = "reasoning_content",
        /// OpenRouter's name, also Groq's, Ollama's and that of newer vLLM.
        pub(super) reasoning: String = "reasoning",
        /// Replaces the content when the model refuses to answer in the requested form.
        pub(super) refusal: String = "refusal",
        pub(super) tool_calls: Vec<Call> = "tool_calls",
        /// The earlier form of tool calls: one for each answer, without an id.
        pub(super) function_call: Function = "function_call",
        /// OpenRouter's, to be sent back unchanged.
        pub(super) reasoning_details: Value = "reasoning_details",
        /// LiteLLM's, to be sent back unchanged.
        pub(super) thinking_blocks: Value = "thinking_blocks",
    }
}

object! {
    /// A piece of a tool call, or the whole of it.
    pub(super) struct Call {
        index: u64 = "index",
        id: Id = "id",
        function: Function = "function",
        extra_content: Value = "extra_content",
        provider_specific_fields: Value = "provider_specific_fields",
    }
}

object! {
    pub(super) struct Function {
        name: String = "name",
        /// JSON in a string; some servers write the JSON itself.
        arguments: Json = "arguments",
        provider_specific_fields: Value = "provider_specific_fields",
    }
}

impl Delta {
    /// Returns true if it has no content.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
        self.content.as_ref().is_none_or(Said::is_empty)
            && is_empty(&self.reasoning_content)
            && is_empty(&self.reasoning)
            && is_empty(&self.refusal)
            && self.tool_calls.as_ref().is_none_or(Vec::is_empty)
            && self.function_call.is_none()
            && self.reasoning_details.is_none()
            && self.thinking_blocks.is_none()
    }
}

impl Call {
    /// Adds its signature, which precedes it.
    pub(super) fn sign(&self, parts: &mut Parts) {
        let function = self.function.as_ref();
        let specific = [
            self.provider_specific_fields.as_ref(),
            function.and_then(|function| function.provider_specific_fields.as_ref()),
        ];
        let id = self.id.as_ref().map(|Id(id)| id.as_str());
        signed::sign_call(id, self.extra_content.as_ref(), specific, parts);
    }

    pub(super) fn into_delta(self) -> CallDelta {
        let function = self.function.unwrap_or_default();
        CallDelta {
            id: self.id.map(|Id(id)| id),
            ..function.into_delta(self.index)
        }
    }
}

impl Function {
    pub(super) fn into_delta(self, key: Option<u64>) -> CallDelta {
        CallDelta {
            key,
            id: None,
            name: self.name,
            arguments: self.arguments.map(|Json(arguments)| arguments),
        }
    }
}

/// The reason why a choice ended, in the words of the providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Written by some proxies where `null` is meant.
    None,
    /// The answer is finished.
    Finished(FinishReason),
    /// The provider stopped early.
    Broken,
    /// The model called a tool in a way that the provider could not parse.
    Malformed,
}

impl Loose for Reason {
    fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::None,
            // `model_length` is Mistral's, when the context is full.
            "length" | "model_length" => Self::Finished(FinishReason::Length),
            "content_filter" => Self::Finished(FinishReason::ContentFilter),
            // `function_call` is the earlier form of tool calls.
            "tool_calls" | "function_call" => Self::Finished(FinishReason::ToolCalls),
            // OpenRouter's and Mistral's, when the provider or the model failed; vLLM's, when
            // the engine dropped the request; DeepSeek's, when it ran out of machines.
            "error" | "abort" | "insufficient_system_resource" => Self::Broken,
            // Gemini's, in its imitation of this protocol: "function_call_filter:
            // MALFORMED_FUNCTION_CALL".
            text if text.starts_with("function_call_filter") => Self::Malformed,
            "malformed_function_call" | "MALFORMED_FUNCTION_CALL" => Self::Malformed,
            // `stop`, `eos` and unknown reasons: the model has finished.
            _ => Self::Finished(FinishReason::Stop),
        })
    }
}

impl Chunk {
    pub(super) fn take_error(&mut self) -> Option<Value> {
        let own = self.error.take();
        let error = own.or_else(|| self.x_groq.as_mut()?.error.take());
        error.map(|Problem(error)| error)
    }

    /// The usage; none for an object without counts, which would hide an earlier one.
    pub(super) fn take_usage(&mut self) -> Option<Result<Usage, OddCount>> {
        let own = self.usage.take().and_then(Counts::into_usage);
        own.or_else(|| self.x_groq.take()?.usage?.into_usage())
    }

    /// The first choice, which is the only one requested.
    pub(super) fn into_choice(self) -> Option<Choice> {
        self.choices?.into_iter().next()
    }
}

impl Choice {
    /// The reason why it ended, if it has.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.finish_reason.filter(|reason| *reason != Reason::None)
    }
}

object! {
    /// Token counts of the providers; any of them may be missing or `null`.
    struct Counts {
        prompt_tokens: Count = "prompt_tokens",
        completion_tokens: Count = "completion_tokens",
        prompt_tokens_details: PromptDetails = "prompt_tokens_details",
        completion_tokens_details: CompletionDetails = "completion_tokens_details",
        /// DeepSeek's name for cached prompt tokens.
        prompt_cache_hit_tokens: Count = "prompt_cache_hit_tokens",
    }
}

object! {
    struct PromptDetails {
        cached_tokens: Count = "cached_tokens",
        /// OpenAI's from GPT-5.6 on, and OpenRouter's.
        cache_write_tokens: Count = "cache_write_tokens",
        /// LiteLLM's, of Anthropic's models.
        cache_creation_tokens: Count = "cache_creation_tokens",
    }
}

object! {
    struct CompletionDetails {
        reasoning_tokens: Count = "reasoning_tokens",
    }
}

impl Counts {
    fn into_usage(self) -> Option<Result<Usage, OddCount>> {
        self.prompt_tokens.or(self.completion_tokens)?;
        Some(self.usage())
    }

    fn usage(self) -> Result<Usage, OddCount> {
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let written = prompt.cache_write_tokens.or(prompt.cache_creation_tokens);
        let completion = self.completion_tokens_details.unwrap_or_default();
        Ok(Usage {
            input_tokens: required(self.prompt_tokens)?,
            output_tokens: required(self.completion_tokens)?,
            cached_input_tokens: or_zero(prompt.cached_tokens.or(self.prompt_cache_hit_tokens))?,
            cache_write_input_tokens: or_zero(written)?,
            cache_write_1h_input_tokens: 0,
            reasoning_tokens: or_zero(completion.reasoning_tokens)?,
        })
    }
}
