//! The objects of an answer: a stream's chunks, or a whole completion.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::content::Said;
use super::signed;
use crate::domain::{FinishReason, Usage};
use crate::llm::calls::CallDelta;
use crate::llm::parts::Parts;

/// What is read of a chunk, or of a completion that came in one piece. The rest, which
/// is most of it, is skipped without being stored; the texts are made once and moved on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Counts>,
    /// Some providers fail inside a stream that began with status 200.
    #[serde(default)]
    error: Option<Value>,
    /// Where Groq has the usage, and the errors of a stream.
    #[serde(default)]
    x_groq: Option<Groq>,
}

#[derive(Debug, Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    /// In place of `delta` when a provider does not stream.
    #[serde(default)]
    message: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<Reason>,
}

/// What a choice says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta {
    #[serde(default)]
    pub(super) content: Said,
    /// DeepSeek's name, also llama.cpp's, SGLang's and older vLLM's.
    #[serde(default)]
    pub(super) reasoning_content: Option<String>,
    /// OpenRouter's name, also Groq's, Ollama's and that of newer vLLM.
    #[serde(default)]
    pub(super) reasoning: Option<String>,
    /// In place of a content, when the model would not give one in the form asked for.
    #[serde(default)]
    pub(super) refusal: Option<String>,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<Call>>,
    /// OpenRouter's, to be sent back as they are.
    #[serde(default)]
    pub(super) reasoning_details: Option<Value>,
    /// LiteLLM's, to be sent back as they are.
    #[serde(default)]
    pub(super) thinking_blocks: Option<Value>,
}

/// A piece of a tool call, or the whole of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
    #[serde(default)]
    extra_content: Option<Value>,
    #[serde(default)]
    provider_specific_fields: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "text_or_json")]
    arguments: Option<String>,
    #[serde(default)]
    provider_specific_fields: Option<Value>,
}

impl Call {
    /// Gives the signature that came with it, which goes before it.
    pub(super) fn sign(&self, parts: &mut Parts) {
        let function = self.function.as_ref();
        let specific = [
            self.provider_specific_fields.as_ref(),
            function.and_then(|function| function.provider_specific_fields.as_ref()),
        ];
        signed::sign_call(
            self.id.as_deref(),
            self.extra_content.as_ref(),
            specific,
            parts,
        );
    }

    pub(super) fn into_delta(self) -> CallDelta {
        let function = self.function.unwrap_or_default();
        CallDelta {
            key: self.index,
            id: self.id,
            name: function.name,
            arguments: function.arguments,
        }
    }
}

/// Arguments are text with JSON in it; some servers write the JSON itself.
fn text_or_json<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(value) => Some(value.to_string()),
    })
}

/// Why a choice ended, as the providers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Stop,
    Length,
    /// Mistral's, when the context is full.
    ModelLength,
    ContentFilter,
    ToolCalls,
    /// What tool calls once were.
    FunctionCall,
    /// OpenRouter's and Mistral's, when the provider or the model failed.
    Error,
    /// vLLM's, when the engine dropped the request.
    Abort,
    /// DeepSeek's, when it ran out of machines.
    InsufficientSystemResource,
    /// Written by some proxies where `null` is meant.
    #[serde(rename = "")]
    None,
    /// `eos` and whatever else: the model was done.
    #[serde(other)]
    Other,
}

/// How a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With an answer.
    Finished(FinishReason),
    /// The provider gave up half-way.
    Broken,
}

impl Chunk {
    pub(super) fn take_error(&mut self) -> Option<Value> {
        let own = self.error.take();
        own.or_else(|| self.x_groq.as_mut()?.error.take())
    }

    /// The usage; none from an object without counts, which would hide an earlier one.
    pub(super) fn take_usage(&mut self) -> Option<Usage> {
        let own = self.usage.take().and_then(Counts::into_usage);
        own.or_else(|| self.x_groq.take()?.usage?.into_usage())
    }

    /// The first choice, which is the only one ever asked for.
    pub(super) fn into_choice(self) -> Option<(Delta, Option<End>)> {
        let choice = self.choices?.into_iter().next()?;
        let delta = choice.delta.or(choice.message).unwrap_or_default();
        Some((delta, choice.finish_reason.and_then(Reason::end)))
    }
}

impl Reason {
    fn end(self) -> Option<End> {
        Some(match self {
            Self::None => return None,
            Self::Stop | Self::Other => End::Finished(FinishReason::Stop),
            Self::Length | Self::ModelLength => End::Finished(FinishReason::Length),
            Self::ContentFilter => End::Finished(FinishReason::ContentFilter),
            Self::ToolCalls | Self::FunctionCall => End::Finished(FinishReason::ToolCalls),
            Self::Error | Self::Abort | Self::InsufficientSystemResource => End::Broken,
        })
    }
}

/// Token counts as the providers give them; any of them may be missing or `null`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for cached prompt tokens.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    /// OpenAI's from GPT-5.6 on, and OpenRouter's.
    cache_write_tokens: Option<u64>,
    /// LiteLLM's, of Anthropic's models.
    cache_creation_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Counts {
    fn into_usage(self) -> Option<Usage> {
        self.prompt_tokens.or(self.completion_tokens)?;
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let cached = prompt.cached_tokens;
        let written = prompt.cache_write_tokens.or(prompt.cache_creation_tokens);
        let reasoning = self
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        Some(Usage {
            input_tokens: self.prompt_tokens.unwrap_or(0),
            output_tokens: self.completion_tokens.unwrap_or(0),
            cached_input_tokens: cached.or(self.prompt_cache_hit_tokens).unwrap_or(0),
            cache_write_input_tokens: written.unwrap_or(0),
            cache_write_1h_input_tokens: 0,
            reasoning_tokens: reasoning.unwrap_or(0),
        })
    }
}
