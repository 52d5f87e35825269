//! Queries.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};

use super::connection::{Cursor, PageArguments, connection};
use super::input::{SessionFilter, check_text, parse_id};
use super::loader::load;
use super::types::agent::Agent;
use super::types::interrupt::Interrupt;
use super::types::node::Node;
use super::types::run::Run;
use super::types::server::{ServerInfo, Viewer};
use super::types::session::Session;
use super::types::tool::{Tool, UnavailableTool};
use super::{ApiError, api, charge_items, principal};
use talkgraph_domain::{RunId, Scope, SessionId};
use talkgraph_store::SessionCursor;

/// The most ids that `nodes` takes.
const MAX_NODES: usize = 100;

/// What can be asked.
pub struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// Anything by its global id; null when there is no such thing or it is somebody else's.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Option<Result<Node>> {
        Node::load(ctx, "id", &id)
            .await
            .map_err(Into::into)
            .transpose()
    }

    /// Several things by their global ids, at most 100; null in the place of each that is
    /// not there.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_NODES {
            let message = format!("`ids` may have at most {MAX_NODES} ids, not {}", ids.len());
            return Err(ApiError::bad_input("ids", message).into());
        }
        let nodes = ids.iter().map(|id| Node::load(ctx, "ids", id));
        Ok(futures_util::future::try_join_all(nodes).await?)
    }

    /// Whoever is asking.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let who = principal(ctx)?;
        Ok(Viewer {
            tenant: who.tenant.to_string(),
            owner: who.owner.to_string(),
            name: who.name.to_string(),
        })
    }

    /// An agent by its name.
    async fn agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent's name.")] name: String,
    ) -> Option<Result<Agent>> {
        let found = async {
            check_text("name", &name)?;
            let agent = api(ctx)?
                .store
                .agent_by_name(principal(ctx)?, &name)
                .await?;
            let missing = || ApiError::not_found("name", format!("there is no agent {name:?}"));
            Ok::<_, ApiError>(Agent(Arc::new(agent.ok_or_else(missing)?)))
        };
        Some(found.await.map_err(Into::into))
    }

    /// The agents, by name.
    async fn agents(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Agent>> {
        let api = api(ctx)?;
        let page = PageArguments::forward(first, after).check(&api.limits, false)?;
        let agents = api
            .store
            .agents(principal(ctx)?, &page)
            .await
            .map_err(ApiError::from)?;
        Ok(connection(agents, |agent| {
            (agent.name.clone(), Agent(Arc::new(agent)))
        }))
    }

    /// A session by its id.
    async fn session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session's id.")] id: ID,
    ) -> Option<Result<Session>> {
        let found = async {
            let key: SessionId = parse_id("id", &id)?;
            let session = load(ctx, key).await?;
            let missing =
                || ApiError::not_found("id", format!("there is no session {}", id.as_str()));
            Ok::<_, ApiError>(Session(session.ok_or_else(missing)?))
        };
        Some(found.await.map_err(Into::into))
    }

    /// The viewer's sessions, latest activity first.
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many, from the end of the range.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which sessions.")] filter: Option<SessionFilter>,
    ) -> Result<Connection<Cursor, Session>> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let arguments = PageArguments {
            first,
            after,
            last,
            before,
        };
        let page = arguments.check::<SessionCursor>(&api.limits, false)?;
        let filter = filter.unwrap_or_default();
        let agent_id = match &filter.agent {
            None => None,
            Some(name) => {
                check_text("filter.agent", name)?;
                let agent = api
                    .store
                    .agent_by_name(who, name)
                    .await
                    .map_err(ApiError::from)?;
                let missing =
                    || ApiError::not_found("filter.agent", format!("there is no agent {name:?}"));
                Some(agent.ok_or_else(missing)?.id)
            }
        };
        if let Some(text) = &filter.title_contains {
            check_text("filter.titleContains", text)?;
        }
        let filter = talkgraph_store::SessionFilter {
            agent_id,
            title_contains: filter.title_contains,
        };
        let sessions = api
            .store
            .sessions(who, &filter, &page)
            .await
            .map_err(ApiError::from)?;
        Ok(connection(sessions, |session| {
            let place = SessionCursor {
                updated_at: session.updated_at,
                id: session.id,
            };
            (place, Session(Arc::new(session)))
        }))
    }

    /// A run by its id.
    async fn run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's id.")] id: ID,
    ) -> Option<Result<Run>> {
        let found = async {
            let key: RunId = parse_id("id", &id)?;
            let run = load(ctx, key).await?;
            let missing = || ApiError::not_found("id", format!("there is no run {}", id.as_str()));
            Ok::<_, ApiError>(Run::loaded(run.ok_or_else(missing)?))
        };
        Some(found.await.map_err(Into::into))
    }

    /// What the viewer's runs wait for in all sessions, oldest first; `interruptsChanged` keeps
    /// such a list live.
    async fn interrupts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Interrupt>> {
        let api = api(ctx)?;
        let page = PageArguments::forward(first, after).check(&api.limits, false)?;
        let open = api.store.open_interrupts(principal(ctx)?, &page).await;
        Ok(connection(open.map_err(ApiError::from)?, |interrupt| {
            (interrupt.id, Arc::new(interrupt).into())
        }))
    }

    /// The tools of this server that agents can have, by name.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        let tools = api(ctx)?.tools.all();
        charge_items(ctx, tools.len())?;
        Ok(tools.values().map(|tool| Tool(Arc::clone(tool))).collect())
    }

    /// The tools that agents could have but cannot be offered now, with the reason for each: the
    /// schema of an MCP server's tool cannot be used, its name is taken, or its server is not
    /// there. `Agent.unavailableTools` names those that one agent lacks.
    async fn unavailable_tools(&self, ctx: &Context<'_>) -> Result<Vec<UnavailableTool>> {
        let tools = api(ctx)?.tools.servers().unavailable();
        charge_items(ctx, tools.len())?;
        Ok(tools.into_iter().map(Into::into).collect())
    }

    /// About this server.
    async fn server(&self, ctx: &Context<'_>) -> Result<ServerInfo> {
        let (runner, who) = (&api(ctx)?.runner, principal(ctx)?);
        Ok(ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            providers: runner.models.provider_names().map(str::to_owned).collect(),
            active_runs: who.may(Scope::Operator).then(|| runner.bus().len()),
        })
    }
}
