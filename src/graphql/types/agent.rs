//! Agents.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::enums::AgentSource;
use super::tool::Tool;
use crate::domain;
use crate::graphql::api;

pub(crate) struct Agent(pub(crate) Arc<domain::Agent>);

/// How an agent's model samples; what is null is left to the model.
#[derive(SimpleObject)]
pub(crate) struct ModelParameters {
    /// Randomness, 0 to 2; 0 always takes the likeliest token.
    temperature: Option<f64>,
    /// The probability mass considered, above 0 and up to 1.
    top_p: Option<f64>,
    /// The longest answer of one model call, in tokens.
    max_output_tokens: Option<u32>,
}

/// Somebody to talk to: instructions, a model and its parameters. Sessions belong to one.
#[Object]
impl Agent {
    /// The agent's global id.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The name that clients choose it by.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// One sentence for people who choose an agent.
    async fn description(&self) -> &str {
        &self.0.current.spec.description
    }

    /// The template of the system message that every run begins with.
    async fn instructions(&self) -> &str {
        &self.0.current.spec.instructions
    }

    /// The model it runs with, as `provider/model`; the first of `models`.
    async fn model(&self, ctx: &Context<'_>) -> Result<String> {
        let catalog = api(ctx)?.runner.catalog();
        Ok(catalog.model_of(&self.0.current.spec).to_owned())
    }

    /// The models that may answer, as `provider/model`: the first that gives a first token
    /// does. `Run.model` says which.
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        let catalog = api(ctx)?.runner.catalog();
        Ok(catalog.models_of(&self.0.current.spec).to_vec())
    }

    /// The tools that its model may call.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        let registry = api(ctx)?.tools.all();
        let tools = self.0.current.spec.tools.iter();
        Ok(tools
            .filter_map(|name| registry.get(name))
            .map(|tool| Tool(Arc::clone(tool)))
            .collect())
    }

    /// The names of the agents that its model may hand the conversation to.
    async fn handoffs(&self) -> &[String] {
        &self.0.current.spec.handoffs
    }

    /// The names of the agents that its model may ask, each in a run of its own.
    async fn agents_as_tools(&self) -> &[String] {
        &self.0.current.spec.agents_as_tools
    }

    /// How the model samples.
    async fn parameters(&self) -> ModelParameters {
        let parameters = &self.0.current.spec.parameters;
        ModelParameters {
            temperature: parameters.temperature,
            top_p: parameters.top_p,
            max_output_tokens: parameters.max_output_tokens,
        }
    }

    /// Where it is defined.
    async fn source(&self) -> AgentSource {
        self.0.source.into()
    }

    /// The version that new runs use.
    async fn current_version(&self) -> AgentVersion {
        AgentVersion(Arc::new(self.0.current.clone()))
    }

    /// When the server first had it.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When its current version was made.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

pub(crate) struct AgentVersion(pub(crate) Arc<domain::AgentVersion>);

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

    /// The template of the system message in this version.
    async fn instructions(&self) -> &str {
        &self.0.spec.instructions
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
