//! The objects of an answer: a stream's chunks, or a whole completion.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{FinishReason, Usage};

/// What is read of a chunk, or of a completion that came in one piece. The rest, which
/// is most of it, is skipped without being stored; the texts are made once and moved on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub(super) usage: Option<Counts>,
    /// Some providers fail inside a stream that began with status 200.
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Texts>,
    /// In place of `delta` when a provider does not stream.
    #[serde(default)]
    message: Option<Texts>,
    #[serde(default)]
    finish_reason: Option<Reason>,
}

/// A choice's texts.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Texts {
    #[serde(default)]
    pub(super) content: Option<String>,
    /// DeepSeek's name, also vLLM's and SGLang's.
    #[serde(default)]
    pub(super) reasoning_content: Option<String>,
    /// OpenRouter's name, also Ollama's and that of newer vLLM.
    #[serde(default)]
    pub(super) reasoning: Option<String>,
}

/// Why a choice ended, as the providers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Stop,
    Length,
    ContentFilter,
    /// OpenRouter's, when the provider behind it failed.
    Error,
    /// vLLM's, when the engine dropped the request.
    Abort,
    /// DeepSeek's, when it ran out of machines.
    InsufficientSystemResource,
    /// Written by some proxies where `null` is meant.
    #[serde(rename = "")]
    None,
    /// `tool_calls`, `eos` and whatever else: the model was done.
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
    /// The first choice, which is the only one ever asked for.
    pub(super) fn into_choice(self) -> Option<(Texts, Option<End>)> {
        let choice = self.choices?.into_iter().next()?;
        let texts = choice.delta.or(choice.message).unwrap_or_default();
        Some((texts, choice.finish_reason.and_then(Reason::end)))
    }
}

impl Reason {
    fn end(self) -> Option<End> {
        Some(match self {
            Self::None => return None,
            Self::Stop | Self::Other => End::Finished(FinishReason::Stop),
            Self::Length => End::Finished(FinishReason::Length),
            Self::ContentFilter => End::Finished(FinishReason::ContentFilter),
            Self::Error | Self::Abort | Self::InsufficientSystemResource => End::Broken,
        })
    }
}

/// Token counts as the providers give them; any of them may be missing or `null`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Counts {
    /// The usage; none from an object without counts, which would hide an earlier one.
    pub(super) fn into_usage(self) -> Option<Usage> {
        self.prompt_tokens.or(self.completion_tokens)?;
        let cached = self
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        let reasoning = self
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        Some(Usage {
            input_tokens: self.prompt_tokens.unwrap_or(0),
            output_tokens: self.completion_tokens.unwrap_or(0),
            cached_input_tokens: cached.or(self.prompt_cache_hit_tokens).unwrap_or(0),
            reasoning_tokens: reasoning.unwrap_or(0),
        })
    }
}
