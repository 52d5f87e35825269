//! What is asked of a model.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Capabilities, ChatMessage, Past};
use talkgraph_domain::capabilities::{Effort, Verbosity};
use talkgraph_domain::{CacheTtl, ToolChoice};

/// One model call.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The tenant that asks. It is not sent.
    pub tenant: Arc<str>,
    /// The model's name, without its provider.
    pub model: String,
    /// The prompt, oldest first; shared, as every step of a run sends all of it again.
    pub messages: Vec<Arc<ChatMessage>>,
    /// How to sample.
    pub sampling: Sampling,
    /// The longest answer, in tokens; the provider's own limit when absent.
    pub max_output_tokens: Option<u32>,
    /// The tools that the model may call; shared as the messages are.
    pub tools: Arc<[ToolSpec]>,
    /// Whether it must, or which one. Without tools it means nothing.
    pub tool_choice: ToolChoice,
    /// The run's own choice, of which `tool_choice` is what is in force in this step: a model
    /// that cannot be forced is asked in its instructions, alike in all steps.
    pub run_tool_choice: ToolChoice,
    /// Whether it may call several at once. Not every provider can be told not to.
    pub parallel_tool_calls: bool,
    /// The form of the answer. Providers that can hold a model to it do; the others are
    /// told in words, so whoever needs it must check what comes.
    pub output_schema: Option<OutputSchema>,
    /// The wishes for reasoning, and for the length of the answer.
    pub reasoning: Reasoning,
    /// Fields that are added to the body, or take the place of its own; objects are merged, and
    /// null removes a field.
    pub extra_body: Arc<Map<String, Value>>,
    /// The parameters that the model takes, as [`super::Models`] knows them. The request's form
    /// on the wire depends on nothing else.
    pub capabilities: Arc<Capabilities>,
    /// Which signed reasoning goes back; each provider sets its own.
    pub past: Past,
    /// How long the provider keeps the prompt in its cache; each provider sets its own.
    pub cache_ttl: CacheTtl,
}

impl ChatRequest {
    /// A call with no wishes but an answer.
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

/// How the model samples; what is absent is left to the model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sampling {
    /// Randomness, 0 to 2.
    pub temperature: Option<f32>,
    /// The probability mass considered, above 0 and up to 1.
    pub top_p: Option<f32>,
    /// Makes sampling repeatable where the model supports it.
    pub seed: Option<u64>,
}

/// The wishes for reasoning; what is absent is left to the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// The amount of reasoning.
    pub effort: Option<Effort>,
    /// The length of the answer.
    pub verbosity: Option<Verbosity>,
    /// Tells if the model thinks before it answers.
    pub thinking: Option<bool>,
    /// The most tokens of thinking, where the model has a budget for it.
    pub thinking_budget_tokens: Option<u32>,
}

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name: 1 to 64 of letters, digits, `_` and `-`, which every vendor takes.
    pub name: String,
    /// What it does and when to use it, for the model.
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
