//! Versions of agents, and what is configured in one.

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

/// The parameters of an agent's model calls; what is null is left to the model.
#[derive(SimpleObject)]
pub(crate) struct ModelParameters {
    /// Randomness, 0 to 2; 0 always takes the likeliest token.
    temperature: Option<f64>,
    /// The probability mass considered, above 0 and up to 1.
    top_p: Option<f64>,
    /// Makes sampling repeatable where the model supports it; a whole number as text, because
    /// it may be beyond what an `Int` holds.
    seed: Option<String>,
    /// The longest answer of one model call, in tokens.
    max_output_tokens: Option<u32>,
    /// The amount of reasoning.
    reasoning_effort: Option<ReasoningEffort>,
    /// The length of the answer.
    verbosity: Option<Verbosity>,
    /// Tells if the model thinks before it answers.
    thinking: Option<bool>,
    /// The most tokens of thinking, for models that have a budget for it.
    thinking_budget_tokens: Option<u32>,
    /// Fields that are added to the body of each request to the provider.
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

/// How that part of a conversation is summarised that an agent's model is no longer shown.
#[derive(SimpleObject)]
pub(crate) struct SummarySettings {
    /// The models that may write it, as `provider/model`; the agent's own where there are none.
    models: Vec<Text>,
    /// The longest summary, in tokens.
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

/// Bounds on a run of an agent; what is null is the server's own bound.
#[derive(SimpleObject)]
pub(crate) struct AgentLimits {
    /// How many earlier messages of the session the model is shown.
    history_messages: Option<u32>,
    /// The longest a run may take, in seconds.
    run_timeout_s: Option<u64>,
    /// The longest one model call may take, in seconds.
    step_timeout_s: Option<u64>,
    /// How many model calls a run may have.
    max_steps: Option<u32>,
    /// What a run may cost, in US dollars.
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

/// The models that may answer, those of the server where the agent names none.
pub(super) fn models_of(ctx: &Context<'_>, spec: &AgentSpec) -> Result<Vec<Text>> {
    let catalog = api(ctx)?.runner.catalog();
    let models = catalog.models_of(spec).iter();
    Ok(models.map(|model| Text(model.clone())).collect())
}

/// Its tools, as far as the server has them now.
pub(super) fn tools_of(ctx: &Context<'_>, spec: &AgentSpec) -> Result<Vec<Tool>> {
    let registry = &api(ctx)?.tools;
    charge_items(ctx, spec.tools.len())?;
    let tools = spec.tools.iter();
    Ok(tools
        .filter_map(|name| registry.get(name))
        .map(Tool)
        .collect())
}

/// Its tools that the server does not have now.
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

/// One immutable version of an agent. A run names the version it ran with.
#[Object]
impl AgentVersion {
    /// The version's id.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Counts up from 1 for each agent.
    async fn number(&self) -> i32 {
        self.0.number
    }

    /// The agent it is a version of.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Agent> {
        let agent = load(ctx, self.0.agent_id).await?;
        let gone = || ApiError::new(Code::NotFound, "the version's agent is gone");
        Ok(Agent(agent.ok_or_else(gone)?))
    }

    /// One sentence for people who choose an agent.
    async fn description(&self) -> Text<&str> {
        Text(&self.0.spec.description)
    }

    /// The template of the system message in this version.
    async fn instructions(&self) -> Text<&str> {
        Text(&self.0.spec.instructions)
    }

    /// The models that may answer, as `provider/model`; the server's default models where the
    /// version names none.
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<Text>> {
        models_of(ctx, &self.0.spec)
    }

    /// The tools that its model may call, as far as the server has them now.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        tools_of(ctx, &self.0.spec)
    }

    /// The names of the agents that its model may hand the conversation to.
    async fn handoffs(&self) -> Vec<Text<&str>> {
        texts(&self.0.spec.handoffs)
    }

    /// The names of the agents that its model may ask, each in a run of its own.
    async fn agents_as_tools(&self) -> Vec<Text<&str>> {
        texts(&self.0.spec.agents_as_tools)
    }

    /// The names of all its tools.
    async fn tool_names(&self) -> Vec<Text<&str>> {
        texts(&self.0.spec.tools)
    }

    /// The JSON Schema that its answers must be valid against, if there is one.
    async fn output_schema(&self) -> Option<Data<&Value>> {
        self.0.spec.output_schema.as_ref().map(Data)
    }

    /// The IANA time zone of `date` in the instructions, where a run names no other; null for UTC.
    async fn time_zone(&self) -> Option<Text<&str>> {
        self.0.spec.time_zone.as_deref().map(Text)
    }

    /// Sampling and reasoning of the model.
    async fn parameters(&self) -> ModelParameters {
        (&self.0.spec.parameters).into()
    }

    /// How what no longer fits its model's window is summarised; null if it is not.
    async fn summary(&self) -> Option<SummarySettings> {
        self.0.spec.summary.as_ref().map(Into::into)
    }

    /// What a run may use.
    async fn limits(&self) -> AgentLimits {
        (&self.0.spec.limits).into()
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
