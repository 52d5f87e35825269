//! Agent versions and their configuration.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::agent::Agent;
use super::enums::{ReasoningEffort, Verbosity};
use super::sized::{Data, Text, texts};
use super::tool::{Tool, UnavailableTool};
use crate::graphql::loader::load;
use crate::graphql::{ApiError, Code, api, charge_items};
use talkgraph_domain::{AgentSpec, agent};

/// The parameters of an agent's model calls. A null parameter leaves the model's default.
#[derive(SimpleObject)]
pub(crate) struct ModelParameters {
    /// The sampling temperature, 0 to 2; 0 always selects the likeliest token.
    temperature: Option<f64>,
    /// The probability mass that sampling considers, above 0 and at most 1.
    top_p: Option<f64>,
    /// The seed that makes sampling repeatable where the model supports it. A whole number as text,
    /// such as `"42"`, because it may exceed the range of `Int`.
    seed: Option<String>,
    /// The maximum length of the output of one model call, in tokens.
    max_output_tokens: Option<u32>,
    /// The amount of reasoning.
    reasoning_effort: Option<ReasoningEffort>,
    /// The length of the answer.
    verbosity: Option<Verbosity>,
    /// True to make the model think before it answers, false to prevent it.
    thinking: Option<bool>,
    /// The maximum number of thinking tokens, for models that accept such a budget.
    thinking_budget_tokens: Option<u32>,
    /// Additional fields of the body of each request to the provider.
    extra_body: Option<Data<Value>>,
}

impl From<&agent::ModelParameters> for ModelParameters {
    fn from(parameters: &agent::ModelParameters) -> Self {
        Self {
            temperature: parameters.temperature,
            top_p: parameters.top_p,
            seed: parameters.seed.map(|seed| seed.to_string()),
            max_output_tokens: parameters.max_output_tokens,
            reasoning_effort: parameters.reasoning_effort.map(Into::into),
            verbosity: parameters.verbosity.map(Into::into),
            thinking: parameters.thinking,
            thinking_budget_tokens: parameters.thinking_budget_tokens,
            extra_body: (!parameters.extra_body.is_empty())
                .then(|| Data(parameters.extra_body.clone().into())),
        }
    }
}

/// The settings for summarising messages that no longer fit the model's context window.
#[derive(SimpleObject)]
pub(crate) struct SummarySettings {
    /// The models that write the summary, in order of preference, as `provider/model`; empty for
    /// the agent's own models.
    models: Vec<Text>,
    /// The maximum length of a summary, in tokens.
    max_output_tokens: u32,
}

impl From<&agent::SummarySettings> for SummarySettings {
    fn from(summary: &agent::SummarySettings) -> Self {
        Self {
            models: summary.models.iter().cloned().map(Text).collect(),
            max_output_tokens: summary.tokens(),
        }
    }
}

/// The limits of an agent's runs. A null limit falls back to the server's limit.
#[derive(SimpleObject)]
pub(crate) struct AgentLimits {
    /// The maximum number of earlier messages of the session in a prompt.
    history_messages: Option<u32>,
    /// The maximum duration of a run, in seconds.
    run_timeout_s: Option<u64>,
    /// The maximum duration of one model call, in seconds.
    step_timeout_s: Option<u64>,
    /// The maximum number of model calls in a run.
    max_steps: Option<u32>,
    /// The maximum cost of a run, in US dollars.
    max_cost_usd: Option<f64>,
}

impl From<&agent::AgentLimits> for AgentLimits {
    fn from(limits: &agent::AgentLimits) -> Self {
        Self {
            history_messages: limits.history_messages,
            run_timeout_s: limits.run_timeout_s,
            step_timeout_s: limits.step_timeout_s,
            max_steps: limits.max_steps,
            max_cost_usd: limits.max_cost_usd,
        }
    }
}

/// Returns the models of an agent, or the server's default models if it names none.
pub(super) fn models_of(ctx: &Context<'_>, spec: &AgentSpec) -> Result<Vec<Text>> {
    let catalog = api(ctx)?.runner.catalog();
    let models = catalog.models_of(spec).iter();
    Ok(models.map(|model| Text(model.clone())).collect())
}

/// Returns the agent's tools that are available now.
pub(super) fn tools_of(ctx: &Context<'_>, spec: &AgentSpec) -> Result<Vec<Tool>> {
    let registry = &api(ctx)?.tools;
    charge_items(ctx, spec.tools.len())?;
    let tools = spec.tools.iter();
    Ok(tools
        .filter_map(|name| registry.get(name))
        .map(Tool)
        .collect())
}

/// Returns the agent's tools that are unavailable now.
pub(super) fn unavailable_tools_of(
    ctx: &Context<'_>,
    spec: &AgentSpec,
) -> Result<Vec<UnavailableTool>> {
    let registry = &api(ctx)?.tools;
    charge_items(ctx, spec.tools.len())?;
    let missing = spec
        .tools
        .iter()
        .filter(|name| registry.get(name).is_none());
    let unavailable = missing.map(|name| talkgraph_tools::UnavailableTool {
        name: name.clone(),
        reason: registry.servers().why_unavailable(name),
    });
    Ok(unavailable.map(Into::into).collect())
}

pub(crate) struct AgentVersion(pub(crate) Arc<talkgraph_domain::AgentVersion>);

/// One immutable version of an agent. Each run refers to the version that it uses.
#[Object]
impl AgentVersion {
    /// The version's id.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The version's number, counted from 1 for each agent.
    async fn number(&self) -> i32 {
        self.0.number
    }

    /// The agent that the version belongs to.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Agent> {
        let agent = load(ctx, self.0.agent_id).await?;
        let gone = || ApiError::new(Code::NotFound, "the version's agent was not found");
        Ok(Agent(agent.ok_or_else(gone)?))
    }

    /// One sentence for people who choose an agent.
    async fn description(&self) -> Text<&str> {
        Text(&self.0.spec.description)
    }

    /// The minijinja template of the system message in this version.
    async fn instructions(&self) -> Text<&str> {
        Text(&self.0.spec.instructions)
    }

    /// The models in order of preference, as `provider/model`; the server's default models if the
    /// version names none.
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<Text>> {
        models_of(ctx, &self.0.spec)
    }

    /// The tools that the model may call and that are available now.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        tools_of(ctx, &self.0.spec)
    }

    /// The names of the agents that the model may hand the conversation to.
    async fn handoffs(&self) -> Vec<Text<&str>> {
        texts(&self.0.spec.handoffs)
    }

    /// The names of the agents that the model may call as tools, each in a child run.
    async fn agents_as_tools(&self) -> Vec<Text<&str>> {
        texts(&self.0.spec.agents_as_tools)
    }

    /// The names of all its tools, available or not.
    async fn tool_names(&self) -> Vec<Text<&str>> {
        texts(&self.0.spec.tools)
    }

    /// The JSON Schema that answers must match; null for free text.
    async fn output_schema(&self) -> Option<Data<&Value>> {
        self.0.spec.output_schema.as_ref().map(Data)
    }

    /// The IANA time zone of `date` in the instructions, such as `Europe/Zurich`; null for UTC. A
    /// run may override it.
    async fn time_zone(&self) -> Option<Text<&str>> {
        self.0.spec.time_zone.as_deref().map(Text)
    }

    /// The sampling and reasoning parameters of model calls.
    async fn parameters(&self) -> ModelParameters {
        (&self.0.spec.parameters).into()
    }

    /// The settings for summarising messages that no longer fit the model's context window; null if
    /// summaries are off.
    async fn summary(&self) -> Option<SummarySettings> {
        self.0.spec.summary.as_ref().map(Into::into)
    }

    /// The limits of each run.
    async fn limits(&self) -> AgentLimits {
        (&self.0.spec.limits).into()
    }

    /// The time at which the version was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
