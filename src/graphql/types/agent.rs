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
    async fn description(&self) -> Text<&str> {
        Text(&self.0.current.spec.description)
    }

    /// The template of the system message that every run begins with.
    async fn instructions(&self) -> Text<&str> {
        Text(&self.0.current.spec.instructions)
    }

    /// The names of the variables that its instructions use: see `ChatInput.variables`.
    async fn variables(&self, ctx: &Context<'_>) -> Result<Vec<Text>> {
        let names = api(ctx)?.runner.variables_of(principal(ctx)?, &self.0);
        let names = names.await.map_err(ApiError::from)?;
        Ok(names.into_iter().map(Text).collect())
    }

    /// The model it runs with, as `provider/model`; the first of `models`.
    async fn model(&self, ctx: &Context<'_>) -> Result<String> {
        let catalog = api(ctx)?.runner.catalog();
        Ok(catalog.model_of(&self.0.current.spec).to_owned())
    }

    /// The models that may answer, as `provider/model`: the first that gives a first token
    /// does. `Run.model` says which.
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<Text>> {
        models_of(ctx, &self.0.current.spec)
    }

    /// The tools that its model may call.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        tools_of(ctx, &self.0.current.spec)
    }

    /// The tools that its model cannot call now, although the agent names them, with the reason
    /// for each. A run goes on without them.
    async fn unavailable_tools(&self, ctx: &Context<'_>) -> Result<Vec<UnavailableTool>> {
        unavailable_tools_of(ctx, &self.0.current.spec)
    }

    /// The names of the agents that its model may hand the conversation to.
    async fn handoffs(&self) -> Vec<Text<&str>> {
        texts(&self.0.current.spec.handoffs)
    }

    /// The names of the agents that its model may ask, each in a run of its own.
    async fn agents_as_tools(&self) -> Vec<Text<&str>> {
        texts(&self.0.current.spec.agents_as_tools)
    }

    /// The JSON Schema that its answers must be valid against, if there is one.
    async fn output_schema(&self) -> Option<Data<&Value>> {
        self.0.current.spec.output_schema.as_ref().map(Data)
    }

    /// The IANA time zone of `date` in the instructions, where a run names no other; null for UTC.
    async fn time_zone(&self) -> Option<Text<&str>> {
        self.0.current.spec.time_zone.as_deref().map(Text)
    }

    /// Sampling and reasoning of the model.
    async fn parameters(&self) -> ModelParameters {
        (&self.0.current.spec.parameters).into()
    }

    /// How what no longer fits its model's window is summarised; null if it is not.
    async fn summary(&self) -> Option<SummarySettings> {
        self.0.current.spec.summary.as_ref().map(Into::into)
    }

    /// What a run may use.
    async fn limits(&self) -> AgentLimits {
        (&self.0.current.spec.limits).into()
    }

    /// Where it is defined.
    async fn source(&self) -> AgentSource {
        self.0.source.into()
    }

    /// The version that new runs use.
    async fn current_version(&self) -> AgentVersion {
        AgentVersion(Arc::new(self.0.current.clone()))
    }

    /// Its versions, latest first.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
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

    /// When the server first had it.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When its current version was made, or made the current one.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// When it was deleted, or its file went; null while it can answer.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }
}
