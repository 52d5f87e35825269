//! Requests to a model.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Capabilities, ChatMessage, Past};
use talkgraph_domain::capabilities::{Effort, Verbosity};
use talkgraph_domain::{CacheTtl, ToolChoice};

/// One model call.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The tenant of the caller. It is not sent.
    pub tenant: Arc<str>,
    /// The model's name, without its provider.
    pub model: String,
    /// The prompt, oldest first; shared, as every step of a run sends all of it again.
    pub messages: Vec<Arc<ChatMessage>>,
    /// The sampling parameters.
    pub sampling: Sampling,
    /// The longest answer, in tokens; the provider's own limit when absent.
    pub max_output_tokens: Option<u32>,
    /// The tools that the model may call; shared as the messages are.
    pub tools: Arc<[ToolSpec]>,
    /// The choice of tools. Without tools it has no meaning.
    pub tool_choice: ToolChoice,
    /// The run's own choice; `tool_choice` is the one for this step. A model that cannot be forced
    /// is asked in its instructions, with the same words in all steps.
    pub run_tool_choice: ToolChoice,
    /// True if several parallel calls are allowed. Not every provider can forbid them.
    pub parallel_tool_calls: bool,
    /// The form of the answer. Providers that can enforce it do; for the others it is part of the
    /// instructions, so the caller must validate the answer.
    pub output_schema: Option<OutputSchema>,
    /// The parameters for reasoning, and for the length of the answer.
    pub reasoning: Reasoning,
    /// Fields that are added to the body, or replace its own; objects are merged, and null removes
    /// a field.
    pub extra_body: Arc<Map<String, Value>>,
    /// The parameters that the model accepts, as [`super::Models`] knows them. The form of the
    /// request depends on nothing else.
    pub capabilities: Arc<Capabilities>,
    /// The selection of signed reasoning that is sent back; each provider sets its own.
    pub past: Past,
    /// The lifetime of the prompt in the provider's cache; each provider sets its own.
    pub cache_ttl: CacheTtl,
}

impl ChatRequest {
    /// Creates a request without optional parameters.
    pub fn new(model: impl Into<String>, messages: Vec<ChatMessage>) -> Self {
        Self {
            tenant: Arc::default(),
            model: model.into(),
            messages: messages.into_iter().map(Arc::new).collect(),
            sampling: Sampling::default(),
            max_output_tokens: None,
            tools: Arc::default(),
            tool_choice: ToolChoice::Auto,
            run_tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            output_schema: None,
            reasoning: Reasoning::default(),
            extra_body: Arc::default(),
            capabilities: Arc::default(),
            past: Past::default(),
            cache_ttl: CacheTtl::default(),
        }
    }
}

/// The sampling parameters; the model's defaults apply to absent ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sampling {
    /// Randomness, 0 to 2.
    pub temperature: Option<f32>,
    /// The probability mass considered, above 0 and up to 1.
    pub top_p: Option<f32>,
    /// The seed, for repeatable answers where the model supports it.
    pub seed: Option<u64>,
}

/// The parameters for reasoning; the model's defaults apply to absent ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// The amount of reasoning.
    pub effort: Option<Effort>,
    /// The length of the answer.
    pub verbosity: Option<Verbosity>,
    /// True if the model thinks before it answers.
    pub thinking: Option<bool>,
    /// The maximum number of thinking tokens, if the model has a budget for it.
    pub thinking_budget_tokens: Option<u32>,
}

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name: 1 to 64 of letters, digits, `_` and `-`, which every vendor accepts.
    pub name: String,
    /// A description of its purpose and use, for the model.
    pub description: String,
    /// The JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSchema {
    /// Its name: 1 to 64 of letters, digits, `_` and `-`.
    pub name: String,
    /// The JSON Schema, an object at the top.
    pub schema: Value,
}
