//! Agents: configuration as data, in immutable versions.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr};

use super::capabilities::{Effort, Verbosity};
use super::ids::{AgentId, AgentVersionId};
use super::one_or_many;
use super::time::Timestamp;

/// The maximum number of models in an agent or in the server's default: each may use up its full
/// time-out before the next is tried.
pub const MAX_MODELS: usize = 8;

/// The property that wraps an answer whose schema is not an object. Most vendors require an object,
/// so the answer is requested as this one property and unwrapped afterwards.
pub const WRAPPED_ANSWER: &str = "answer";

/// The default limit of a summary, in tokens: a page or two.
pub const DEFAULT_SUMMARY_TOKENS: u32 = 1_024;

/// The range of tokens that an agent may set for a summary. Fewer are too few to say anything; more
/// would be cut at [`MAX_SUMMARY_BYTES`].
///
/// [`MAX_SUMMARY_BYTES`]: super::summary::MAX_SUMMARY_BYTES
pub const SUMMARY_TOKENS: std::ops::RangeInclusive<u32> = 32..=16_384;

/// The source of an agent's definition, which is also the place to change it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentSource {
    /// A file in the agents folder; read-only through the API.
    File,
    /// The API; the agent belongs to one tenant.
    Api,
}

/// An agent with its current version.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name, unique within what a principal can see.
    pub name: String,
    /// The place of its definition.
    pub source: AgentSource,
    /// Time at which it was first registered.
    pub created_at: Timestamp,
    /// Time at which its current version was created or became current.
    pub updated_at: Timestamp,
    /// Time at which it was deleted or its file disappeared. An archived agent starts no runs.
    pub archived_at: Option<Timestamp>,
    /// The version that new runs use.
    pub current: AgentVersion,
}

/// One version of an agent. Immutable, so that a run always has a record of its configuration.
#[derive(Debug, Clone)]
pub struct AgentVersion {
    /// Its id.
    pub id: AgentVersionId,
    /// The agent it is a version of.
    pub agent_id: AgentId,
    /// Its number, counted from 1 for each agent.
    pub number: i32,
    /// The configuration.
    pub spec: AgentSpec,
    /// Time of creation.
    pub created_at: Timestamp,
}

/// An agent's configuration: the content of `agents/<name>.toml`, or the input of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// Its name: lower-case letters, digits and dashes, at most 64.
    pub name: String,
    /// One sentence for people who choose an agent.
    pub description: String,
    /// A minijinja template; the system message of every run. It can use `date` (today in
    /// `time_zone`, `2026-01-31`), `owner`, and the variables of the run as `variables.x`.
    pub instructions: String,
    /// `provider/model`, or a list of them: the first that returns a first token answers. The
    /// server's default models when empty.
    #[serde(
        rename = "model",
        default,
        with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub models: Vec<String>,
    /// The names of the tools that its model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// The names of the agents that its model may hand the conversation to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handoffs: Vec<String>,
    /// The names of the agents that its model may call as tools, each in a run of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents_as_tools: Vec<String>,
    /// The JSON Schema of its answers; text when absent. In a file: a table, or JSON as a string.
    #[serde(
        default,
        deserialize_with = "json_or_its_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub output_schema: Option<Value>,
    /// The IANA time zone of `date` in the instructions, such as `Europe/Zurich`, unless a run
    /// names another; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Sampling and reasoning of the model.
    #[serde(default)]
    pub parameters: ModelParameters,
    /// Settings for summarising the messages that no longer fit the model's context; without them,
    /// they are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<SummarySettings>,
    /// Limits of a run.
    #[serde(default)]
    pub limits: AgentLimits,
}

fn json_or_its_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| serde::de::Error::custom(format!("output_schema: {error}"))),
        value => Ok(Some(value)),
    }
}

/// The parameters of model calls; the model's defaults apply to absent ones. A parameter that the
/// model does not accept is left out, or replaced by the nearest accepted value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelParameters {
    /// Randomness, 0 to 2; 0 always takes the likeliest token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling: the probability mass considered, above 0 and up to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The seed of sampling, for repeatable answers where the model supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The longest answer of one model call, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The amount of reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<Effort>,
    /// The length of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<Verbosity>,
    /// True if the model thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<bool>,
    /// The most tokens of thinking, for models that have a budget for it. They are part of
    /// `max_output_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_budget_tokens: Option<u32>,
    /// Fields that are added to the body of each request; objects are merged, and null removes a
    /// field.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra_body: Map<String, Value>,
}

/// Settings for summarising the part of a conversation that a model is no longer shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SummarySettings {
    /// `provider/model` that writes it, or a list of them; the agent's own models when empty.
    #[serde(
        rename = "model",
        default,
        with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub models: Vec<String>,
    /// The longest summary, in tokens; [`DEFAULT_SUMMARY_TOKENS`] when absent. Reasoning tokens
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
}

impl SummarySettings {
    /// The longest summary, in tokens.
    pub fn tokens(&self) -> u32 {
        self.max_output_tokens.unwrap_or(DEFAULT_SUMMARY_TOKENS)
    }
}

/// Limits of a run of this agent; the server's limits apply to absent ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentLimits {
    /// The number of earlier messages of the session that the model is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_messages: Option<u32>,
    /// The longest a run may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_timeout_s: Option<u64>,
    /// The longest one model call may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_timeout_s: Option<u64>,
    /// The maximum number of model calls of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
    /// The cost limit of a run, in US dollars: no further step begins once it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
}
