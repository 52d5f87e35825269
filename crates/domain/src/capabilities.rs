//! The vocabulary for the parameters that chat models take and refuse.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// The amount of reasoning that is requested of a model, from none to its maximum.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Effort {
    /// No reasoning.
    None,
    /// Minimal reasoning.
    Minimal,
    /// Low reasoning.
    Low,
    /// Medium reasoning.
    Medium,
    /// High reasoning.
    High,
    /// More than `high`.
    Xhigh,
    /// The maximum of the model.
    Max,
}

/// The length of answer that is requested of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Verbosity {
    /// Short answers.
    Low,
    /// Answers of medium length.
    Medium,
    /// Long answers.
    High,
}

/// The requests in which a model takes `temperature` and `top_p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SamplingRule {
    /// Every request.
    Always,
    /// Requests whose effort is `none`.
    WithoutReasoning,
    /// No request.
    Never,
}

/// The form in which thinking is switched and bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ThinkingForm {
    /// None: the model takes no such field.
    None,
    /// The effort alone: `none` switches it off.
    Effort,
    /// A switch without a budget: `thinking.type` is `enabled` or `disabled`.
    Switch,
    /// A budget of tokens.
    Budget,
    /// Anthropic's `adaptive`, with the effort as its depth.
    Adaptive,
    /// Gemini's levels.
    Level,
}

/// The way in which thinking is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ThinkingOff {
    /// It cannot be: the lowest effort takes its place.
    Never,
    /// The form's own way: `disabled`, a budget of 0, effort `none`.
    Disabled,
    /// Anthropic's `between_tools`.
    BetweenTools,
}

/// The requests in which a model may be forced to call a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ForcedTools {
    /// Every request.
    Always,
    /// Requests without thinking.
    WithoutThinking,
    /// No request.
    Never,
}

/// The requests in which a model takes tools over Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ToolsOverChat {
    /// Every request.
    Always,
    /// Requests that name no effort, or `none`.
    WithoutEffort,
    /// Requests that name the effort `none`.
    WithEffortNone,
}

/// The field that limits an answer over Chat Completions.
///
/// OpenAI refuses `max_tokens` for its reasoning models; most of the servers that imitate it
/// know only that one, and would ignore the newer and with it the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LimitField {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// The field of the seed over Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SeedField {
    /// `seed`.
    Seed,
    /// `random_seed`.
    RandomSeed,
    /// No field: a seed is left out.
    None,
}

/// The ids of tool calls that a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CallIds {
    /// Any text.
    Any,
    /// Nine letters and digits.
    NineCharacters,
}

/// The way in which a model is made to answer in a given form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum StructuredOutput {
    /// The protocol's own field takes a JSON Schema.
    Native,
    /// The same, but only in requests without tools.
    NativeWithoutTools,
    /// The protocol's own field asks for an object; the instructions have the schema.
    Object,
    /// The instructions have the schema.
    Words,
}

/// A price in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablePrice {
    /// The price of input tokens.
    pub input: f64,
    /// The price of input tokens read from a cache; the same as `input` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// The price of tokens written to a cache that lives for five minutes; the same as `input` when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// The price of tokens written to a cache that lives for an hour; the same as `cache_write`
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
    /// The price of output tokens, reasoning included.
    pub output: f64,
    /// The surcharge for long prompts, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_prompt: Option<LongPrompt>,
}

/// The surcharge for a request with a long prompt. It is for all tokens of the request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongPrompt {
    /// The longest prompt without it, in tokens.
    pub above: u64,
    /// The factor for what is read, from a cache or not, and for what is written to a cache.
    pub input: f64,
    /// The factor for what the model writes.
    pub output: f64,
}

/// Entries of the table of capabilities: each one that is there replaces what is known so far.
/// A rule of the shipped table and a setting have the same form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(
    missing_docs,
    reason = "the fields of llm::Capabilities, which documents them"
)]
pub struct CapabilityOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p_with_temperature: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_max: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<Effort>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_off: Option<ThinkingOff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_off_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinks_by_default: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_bound: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_signatures: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_in_history: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_tools: Option<ForcedTools>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_over_chat_completions: Option<ToolsOverChat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_field: Option<LimitField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_field: Option<SeedField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_ids: Option<CallIds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_in_tool_results: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<StructuredOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternates_roles: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<TablePrice>,
}
