//! Input types of agents.

use async_graphql::{ID, InputObject, Json, MaybeUndefined};
use serde_json::{Map, Value};

use crate::graphql::ApiError;
use crate::graphql::types::enums::{ReasoningEffort, Verbosity};
use talkgraph_domain::AgentSpec;
use talkgraph_domain::agent::{AgentLimits, ModelParameters, SummarySettings};
use talkgraph_runtime::SpecError;

/// An agent to create, with the fields and rules of an agent file.
#[derive(Debug, InputObject)]
pub(crate) struct CreateAgentInput {
    /// The name that clients select the agent by, such as `support`: 1 to 64 lower-case letters,
    /// digits and dashes. It cannot be changed.
    name: String,
    /// One sentence for people who choose an agent.
    description: String,
    /// The system message of each run, as a minijinja template.
    instructions: String,
    /// The models in order of preference, as `provider/model`, such as `openai/gpt-4.1`; at most 8.
    /// The first model that produces a token answers. The server's default models if empty.
    #[graphql(default)]
    models: Vec<String>,
    /// The names of the tools that the model may call.
    #[graphql(default)]
    tools: Vec<String>,
    /// The names of the agents that the model may hand the conversation to.
    #[graphql(default)]
    handoffs: Vec<String>,
    /// The names of the agents that the model may call as tools, each in a child run.
    #[graphql(default)]
    agents_as_tools: Vec<String>,
    /// The JSON Schema that answers must match; `ChatInput.outputSchema` replaces it for one run.
    output_schema: Option<Json<Value>>,
    /// The IANA time zone of `date` in the instructions, such as `Europe/Zurich`; UTC if absent. A
    /// run may override it.
    time_zone: Option<String>,
    /// The sampling and reasoning parameters of model calls.
    parameters: Option<ModelParametersInput>,
    /// The settings for summarising messages that no longer fit the model's context window; null
    /// for no summaries.
    summary: Option<SummarySettingsInput>,
    /// The limits of each run.
    limits: Option<AgentLimitsInput>,
}

/// A new version of an agent. Absent fields stay as in the current version.
#[derive(Debug, InputObject)]
pub(crate) struct UpdateAgentInput {
    /// The agent.
    pub(crate) id: ID,
    /// The number of the version that the change is based on. If another version is current, the
    /// result is a CONFLICT with `extensions.currentVersion`.
    pub(crate) expected_version: i32,
    /// One sentence for people who choose an agent.
    description: Option<String>,
    /// The system message of each run, as a minijinja template.
    instructions: Option<String>,
    /// The models in order of preference, replacing the old ones.
    models: Option<Vec<String>>,
    /// The names of the tools that the model may call, replacing the old ones.
    tools: Option<Vec<String>>,
    /// The names of the agents that the model may hand the conversation to, replacing the old ones.
    handoffs: Option<Vec<String>>,
    /// The names of the agents that the model may call as tools, replacing the old ones.
    agents_as_tools: Option<Vec<String>>,
    /// The JSON Schema that answers must match; null removes it.
    output_schema: MaybeUndefined<Json<Value>>,
    /// The IANA time zone of `date` in the instructions, such as `Europe/Zurich`; null for UTC.
    time_zone: MaybeUndefined<String>,
    /// The sampling and reasoning parameters, replacing all old ones.
    parameters: Option<ModelParametersInput>,
    /// The settings for summarising older messages, replacing the old ones; null for no summaries.
    summary: MaybeUndefined<SummarySettingsInput>,
    /// The limits of each run, replacing all old ones.
    limits: Option<AgentLimitsInput>,
}

/// The selection of an agent's current version.
#[derive(Debug, InputObject)]
pub(crate) struct SetCurrentAgentVersionInput {
    /// The agent.
    pub(crate) id: ID,
    /// The number of the version to make current.
    pub(crate) version: i32,
    /// The number of the version that the caller expects to be current. If another version is
    /// current, the result is a CONFLICT with `extensions.currentVersion`.
    pub(crate) expected_version: i32,
}

/// The parameters of an agent's model calls. An absent parameter leaves the model's default. A
/// parameter that the model does not accept is omitted or replaced by the nearest accepted value.
#[derive(Debug, Default, InputObject)]
pub(crate) struct ModelParametersInput {
    /// The sampling temperature, 0 to 2; 0 always selects the likeliest token.
    temperature: Option<f64>,
    /// The probability mass that sampling considers, above 0 and at most 1.
    top_p: Option<f64>,
    /// The seed that makes sampling repeatable where the model supports it: a whole number from 0
    /// to 18446744073709551615 as text, such as `"42"`.
    seed: Option<String>,
    /// The maximum length of the output of one model call, in tokens, including reasoning.
    max_output_tokens: Option<i32>,
    /// The amount of reasoning.
    reasoning_effort: Option<ReasoningEffort>,
    /// The length of the answer.
    verbosity: Option<Verbosity>,
    /// True to make the model think before it answers, false to prevent it.
    thinking: Option<bool>,
    /// The maximum number of thinking tokens, for models that accept such a budget; less than
    /// `maxOutputTokens`.
    thinking_budget_tokens: Option<i32>,
    /// Additional fields of the body of each request to the provider, a JSON object of at most
    /// 16,384 bytes. Fields that determine limits, price, model, number of answers or service tier,
    /// and fields of the request itself, are rejected.
    extra_body: Option<Json<Map<String, Value>>>,
}

/// The settings for summarising messages that no longer fit the model's context window.
#[derive(Debug, InputObject)]
pub(crate) struct SummarySettingsInput {
    /// The models that write the summary, in order of preference, as `provider/model`; the agent's
    /// own models if empty.
    #[graphql(default)]
    models: Vec<String>,
    /// The maximum length of a summary, in tokens, including reasoning: 32 to 16,384, and at most a
    /// quarter of the context window of the agent's first model; 1,024 if absent.
    max_output_tokens: Option<i32>,
}

/// The limits of an agent's runs. An absent limit falls back to the server's limit.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AgentLimitsInput {
    /// The maximum number of earlier messages of the session in a prompt.
    history_messages: Option<i32>,
    /// The maximum duration of a run, in seconds, such as `600`.
    run_timeout_s: Option<i32>,
    /// The maximum duration of one model call, in seconds, such as `120`.
    step_timeout_s: Option<i32>,
    /// The maximum number of model calls in a run.
    max_steps: Option<i32>,
    /// The maximum cost of a run, in US dollars, such as `0.25`. A run that reaches it starts no
    /// further step and fails with COST_LIMIT. Each model of the agent must have a price in the
    /// server's settings.
    max_cost_usd: Option<f64>,
}

impl CreateAgentInput {
    pub(crate) fn spec(self) -> Result<AgentSpec, ApiError> {
        Ok(AgentSpec {
            name: self.name,
            description: self.description,
            instructions: self.instructions,
            models: self.models,
            tools: self.tools,
            handoffs: self.handoffs,
            agents_as_tools: self.agents_as_tools,
            output_schema: self.output_schema.map(|schema| schema.0),
            time_zone: self.time_zone,
            parameters: self.parameters.unwrap_or_default().check()?,
            summary: self.summary.map(SummarySettingsInput::check).transpose()?,
            limits: self.limits.unwrap_or_default().check()?,
        })
    }
}

impl UpdateAgentInput {
    /// Applies the changes to `spec`.
    pub(crate) fn apply(self, mut spec: AgentSpec) -> Result<AgentSpec, ApiError> {
        spec.description = self.description.unwrap_or(spec.description);
        spec.instructions = self.instructions.unwrap_or(spec.instructions);
        spec.models = self.models.unwrap_or(spec.models);
        spec.tools = self.tools.unwrap_or(spec.tools);
        spec.handoffs = self.handoffs.unwrap_or(spec.handoffs);
        spec.agents_as_tools = self.agents_as_tools.unwrap_or(spec.agents_as_tools);
        match self.output_schema {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => spec.output_schema = None,
            MaybeUndefined::Value(schema) => spec.output_schema = Some(schema.0),
        }
        match self.time_zone {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => spec.time_zone = None,
            MaybeUndefined::Value(zone) => spec.time_zone = Some(zone),
        }
        if let Some(parameters) = self.parameters {
            spec.parameters = parameters.check()?;
        }
        match self.summary {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => spec.summary = None,
            MaybeUndefined::Value(summary) => spec.summary = Some(summary.check()?),
        }
        if let Some(limits) = self.limits {
            spec.limits = limits.check()?;
        }
        Ok(spec)
    }
}

impl ModelParametersInput {
    fn check(self) -> Result<ModelParameters, ApiError> {
        let seed = self.seed.as_deref().map(str::parse).transpose();
        let seed = seed.map_err(|_| {
            let why = "must be a whole number from 0 to 18446744073709551615";
            ApiError::bad_input("input.parameters.seed", why)
        })?;
        Ok(ModelParameters {
            temperature: self.temperature,
            top_p: self.top_p,
            seed,
            max_output_tokens: count("parameters.maxOutputTokens", self.max_output_tokens)?,
            reasoning_effort: self.reasoning_effort.map(Into::into),
            verbosity: self.verbosity.map(Into::into),
            thinking: self.thinking,
            thinking_budget_tokens: count(
                "parameters.thinkingBudgetTokens",
                self.thinking_budget_tokens,
            )?,
            extra_body: self.extra_body.map(|fields| fields.0).unwrap_or_default(),
        })
    }
}

impl SummarySettingsInput {
    fn check(self) -> Result<SummarySettings, ApiError> {
        Ok(SummarySettings {
            models: self.models,
            max_output_tokens: count("summary.maxOutputTokens", self.max_output_tokens)?,
        })
    }
}

impl AgentLimitsInput {
    fn check(self) -> Result<AgentLimits, ApiError> {
        Ok(AgentLimits {
            history_messages: count("limits.historyMessages", self.history_messages)?,
            run_timeout_s: count("limits.runTimeoutS", self.run_timeout_s)?.map(u64::from),
            step_timeout_s: count("limits.stepTimeoutS", self.step_timeout_s)?.map(u64::from),
            max_steps: count("limits.maxSteps", self.max_steps)?,
            max_cost_usd: self.max_cost_usd,
        })
    }
}

fn count(field: &str, value: Option<i32>) -> Result<Option<u32>, ApiError> {
    value.map(u32::try_from).transpose().map_err(|_| {
        let field = format!("input.{field}");
        ApiError::bad_input(&field, "must not be negative")
    })
}

/// Converts a specification error and names the field as the API does: `limits.max_steps` is
/// `input.limits.maxSteps`.
impl From<SpecError> for ApiError {
    fn from(error: SpecError) -> Self {
        if let Some(failure) = error.unchecked {
            return failure.into();
        }
        let mut field = "input.".to_owned();
        let mut capital = false;
        for letter in error.field.chars() {
            match letter {
                '_' => capital = true,
                letter if std::mem::take(&mut capital) => {
                    field.extend(letter.to_uppercase());
                }
                letter => field.push(letter),
            }
        }
        if matches!(error.field.as_str(), "model" | "summary.model") {
            field.push('s');
        }
        Self::bad_input(&field, error.why)
    }
}
