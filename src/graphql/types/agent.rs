//! Agents.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::agent_version::{
    AgentLimits, AgentVersion, ModelParameters, SummarySettings, models_of, tools_of,
    unavailable_tools_of,
};
use super::enums::AgentSource;
use super::sized::{Data, Text, texts};
use super::tool::{Tool, UnavailableTool};
use crate::graphql::connection::{Cursor, PageArguments, connection};
use crate::graphql::{ApiError, api, principal};
use talkgraph_store::VersionCursor;

pub(crate) struct Agent(pub(crate) Arc<talkgraph_domain::Agent>);

/// An agent: instructions, a model and its parameters. Each session belongs to one agent.
#[Object]
impl Agent {
    /// The agent's global id, such as `agt_01jq4w0dn9e5rb6c3v8s2h7k4m`.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The name that selects the agent in `ChatInput.agent`, such as `support`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// One sentence for people who choose an agent.
    async fn description(&self) -> Text<&str> {
        Text(&self.0.current.spec.description)
    }

    /// The minijinja template of the system message that each run begins with.
    async fn instructions(&self) -> Text<&str> {
        Text(&self.0.current.spec.instructions)
    }

    /// The names of the variables that the instructions use; see `ChatInput.variables`.
    async fn variables(&self, ctx: &Context<'_>) -> Result<Vec<Text>> {
        let names = api(ctx)?.runner.variables_of(principal(ctx)?, &self.0);
        let names = names.await.map_err(ApiError::from)?;
        Ok(names.into_iter().map(Text).collect())
    }

    /// The model that is called first, as `provider/model`, such as `openai/gpt-4.1`; the first of
    /// `models`.
    async fn model(&self, ctx: &Context<'_>) -> Result<String> {
        let catalog = api(ctx)?.runner.catalog();
        Ok(catalog.model_of(&self.0.current.spec).to_owned())
    }

    /// The models in order of preference, as `provider/model`. The first model that produces a
    /// token answers; `Run.model` names it.
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<Text>> {
        models_of(ctx, &self.0.current.spec)
    }

    /// The tools that the model may call.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        tools_of(ctx, &self.0.current.spec)
    }

    /// The tools that the agent names but that are unavailable now, each with the reason. Runs
    /// continue without them.
    async fn unavailable_tools(&self, ctx: &Context<'_>) -> Result<Vec<UnavailableTool>> {
        unavailable_tools_of(ctx, &self.0.current.spec)
    }

    /// The names of the agents that the model may hand the conversation to.
    async fn handoffs(&self) -> Vec<Text<&str>> {
        texts(&self.0.current.spec.handoffs)
    }

    /// The names of the agents that the model may call as tools, each in a child run.
    async fn agents_as_tools(&self) -> Vec<Text<&str>> {
        texts(&self.0.current.spec.agents_as_tools)
    }

    /// The JSON Schema that answers must match; null for free text.
    async fn output_schema(&self) -> Option<Data<&Value>> {
        self.0.current.spec.output_schema.as_ref().map(Data)
    }

    /// The IANA time zone of `date` in the instructions, such as `Europe/Zurich`; null for UTC. A
    /// run may override it.
    async fn time_zone(&self) -> Option<Text<&str>> {
        self.0.current.spec.time_zone.as_deref().map(Text)
    }

    /// The sampling and reasoning parameters of model calls.
    async fn parameters(&self) -> ModelParameters {
        (&self.0.current.spec.parameters).into()
    }

    /// The settings for summarising messages that no longer fit the model's context window; null if
    /// summaries are off.
    async fn summary(&self) -> Option<SummarySettings> {
        self.0.current.spec.summary.as_ref().map(Into::into)
    }

    /// The limits of each run.
    async fn limits(&self) -> AgentLimits {
        (&self.0.current.spec.limits).into()
    }

    /// The place where the agent is defined.
    async fn source(&self) -> AgentSource {
        self.0.source.into()
    }

    /// The version that new runs use.
    async fn current_version(&self) -> AgentVersion {
        AgentVersion(Arc::new(self.0.current.clone()))
    }

    /// The versions of the agent, latest first.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins, such as a page's `endCursor`.")]
        after: Option<String>,
    ) -> Result<Connection<Cursor, AgentVersion>> {
        let api = api(ctx)?;
        let page = PageArguments::forward(first, after).check(&api.limits, false)?;
        let versions = api.store.agent_versions(principal(ctx)?, self.0.id, &page);
        let versions = versions.await.map_err(ApiError::from)?;
        Ok(connection(versions, |version| {
            let place = VersionCursor(version.number);
            (place, AgentVersion(Arc::new(version)))
        }))
    }

    /// The time at which the agent was created or its file was first loaded.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time at which the current version was created or selected.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// The time at which the agent was deleted or its file was removed; null while it can start
    /// runs.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }
}
