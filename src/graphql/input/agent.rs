//! What clients say about agents.

use async_graphql::{ID, InputObject, Json, MaybeUndefined};
use serde_json::{Map, Value};

use crate::graphql::ApiError;
use crate::graphql::types::enums::{ReasoningEffort, Verbosity};
use talkgraph_domain::AgentSpec;
use talkgraph_domain::agent::{AgentLimits, ModelParameters, SummarySettings};
use talkgraph_runtime::SpecError;

/// An agent to make. The same fields as in an agent file, with the same rules.
#[derive(Debug, InputObject)]
pub(crate) struct CreateAgentInput {
    /// The name that clients choose it by: 1 to 64 lower-case letters, digits and dashes. It
    /// stays as it is.
    name: String,
    /// One sentence for people who choose an agent.
    description: String,
    /// A minijinja template: the system message of every run.
    instructions: String,
    /// The models that may answer, as `provider/model`, at most 8: the first that gives a first
    /// token does. The server's default models when there are none.
    #[graphql(default)]
    models: Vec<String>,
    /// The names of the tools that its model may call.
    #[graphql(default)]
    tools: Vec<String>,
    /// The names of the agents that its model may hand the conversation to.
    #[graphql(default)]
    handoffs: Vec<String>,
    /// The names of the agents that its model may ask, each in a run of its own.
    #[graphql(default)]
    agents_as_tools: Vec<String>,
    /// The JSON Schema that its answers must be valid against; `ChatInput.outputSchema` takes its
    /// place for one run.
    output_schema: Option<Json<Value>>,
    /// The IANA time zone of `date` in the instructions, such as `Europe/Zurich`, where a run
    /// names no other; UTC when absent.
    time_zone: Option<String>,
    /// Sampling and reasoning of its model.
    parameters: Option<ModelParametersInput>,
    /// Has that part of a conversation summarised for its model that no longer fits its window;
    /// null for no summaries.
    summary: Option<SummarySettingsInput>,
    /// What a run may use.
    limits: Option<AgentLimitsInput>,
}

/// A new version of an agent. What is absent stays as it is in the current version.
#[derive(Debug, InputObject)]
pub(crate) struct UpdateAgentInput {
    /// The agent.
    pub(crate) id: ID,
    /// The number of the version that this change is made from. If another one is current by
    /// now it is a CONFLICT, whose `extensions.currentVersion` tells which.
    pub(crate) expected_version: i32,
    /// One sentence for people who choose an agent.
    description: Option<String>,
    /// A minijinja template: the system message of every run.
    instructions: Option<String>,
    /// The models that may answer, in place of the old ones.
    models: Option<Vec<String>>,
    /// The names of the tools that its model may call, in place of the old ones.
    tools: Option<Vec<String>>,
    /// The names of the agents that its model may hand the conversation to, in place of the old
    /// ones.
    handoffs: Option<Vec<String>>,
    /// The names of the agents that its model may ask, in place of the old ones.
    agents_as_tools: Option<Vec<String>>,
    /// The JSON Schema that its answers must be valid against; null removes it.
    output_schema: MaybeUndefined<Json<Value>>,
    /// The IANA time zone of `date` in the instructions; null for UTC.
    time_zone: MaybeUndefined<String>,
    /// Sampling and reasoning of its model; replaces all old parameters.
    parameters: Option<ModelParametersInput>,
    /// How what no longer fits the window is summarised, in place of how it was; null for no
    /// summaries.
    summary: MaybeUndefined<SummarySettingsInput>,
    /// What a run may use, in place of all the old limits.
    limits: Option<AgentLimitsInput>,
}

/// Which version of an agent new runs use.
#[derive(Debug, InputObject)]
pub(crate) struct SetCurrentAgentVersionInput {
    /// The agent.
    pub(crate) id: ID,
    /// The number of the version that is to be the current one.
    pub(crate) version: i32,
    /// The number of the version that was seen as the current one. If another one is by now it
    /// is a CONFLICT, whose `extensions.currentVersion` tells which.
    pub(crate) expected_version: i32,
}

/// The parameters of an agent's model calls; what is absent is left to the model. A parameter that
/// the model does not take is left out, or replaced by the nearest that it takes.
#[derive(Debug, Default, InputObject)]
pub(crate) struct ModelParametersInput {
    /// Randomness, 0 to 2; 0 always takes the likeliest token.
    temperature: Option<f64>,
    /// The probability mass considered, above 0 and at most 1.
    top_p: Option<f64>,
    /// Makes sampling repeatable where the model supports it: a whole number from 0 to
    /// 18446744073709551615, as text.
    seed: Option<String>,
    /// The longest answer of one model call, in tokens, reasoning included.
    max_output_tokens: Option<i32>,
    /// The amount of reasoning.
    reasoning_effort: Option<ReasoningEffort>,
    /// The length of the answer.
    verbosity: Option<Verbosity>,
    /// Tells if the model thinks before it answers.
    thinking: Option<bool>,
    /// The most tokens of thinking, for models that have a budget for it; less than
    /// `maxOutputTokens`.
    thinking_budget_tokens: Option<i32>,
    /// Fields that are added to the body of each request to the provider, a JSON object of at most
    /// 16,384 bytes. Refused are those on which limits, price, model, number of answers or service
    /// tier depend, and those of the request itself.
    extra_body: Option<Json<Map<String, Value>>>,
}

/// How that part of a conversation is summarised that an agent's model is no longer shown.
#[derive(Debug, InputObject)]
pub(crate) struct SummarySettingsInput {
    /// The models that may write it, as `provider/model`: the first that gives a first token
    /// does. The agent's own models when there are none.
    #[graphql(default)]
    models: Vec<String>,
    /// The longest summary, in tokens: 32 to 16,384, and at most a quarter of the window of the
    /// agent's first model; 1,024 when absent. What the model thinks counts, too.
    max_output_tokens: Option<i32>,
}

/// Bounds on a run; what is absent is the server's own bound.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AgentLimitsInput {
    /// How many earlier messages of the session the model is shown.
    history_messages: Option<i32>,
    /// The longest a run may take, in seconds.
    run_timeout_s: Option<i32>,
    /// The longest one model call may take, in seconds.
    step_timeout_s: Option<i32>,
    /// How many model calls a run may have.
    max_steps: Option<i32>,
    /// What a run may cost, in US dollars: once it has, no further step begins, and the run fails
    /// with COST_LIMIT. Every model of the agent must have a price in the server's settings.
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
    /// `spec` with what is to change about it.
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

/// Names the field as the API does: `limits.max_steps` is `input.limits.maxSteps`.
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
