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

/// The maximum number of ids that `nodes` accepts.
const MAX_NODES: usize = 100;

/// The queries of the API.
pub struct Query;

/// The queries of the API.
#[Object]
impl Query {
    /// An object by its global id; null if it does not exist or belongs to another owner.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id, such as `ses_01jq4w0dn9e5rb6c3v8s2h7k4m`.")] id: ID,
    ) -> Option<Result<Node>> {
        Node::load(ctx, "id", &id)
            .await
            .map_err(Into::into)
            .transpose()
    }

    /// Objects by their global ids, at most 100; null for each that does not exist.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_NODES {
            let message = format!("`ids` may have at most {MAX_NODES} ids, not {}", ids.len());
            return Err(ApiError::bad_input("ids", message).into());
        }
        let nodes = ids.iter().map(|id| Node::load(ctx, "ids", id));
        Ok(futures_util::future::try_join_all(nodes).await?)
    }

    /// The authenticated caller.
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
        #[graphql(desc = "The agent's name, such as `support`.")] name: String,
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
        #[graphql(desc = "The number of items from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins, such as a page's `endCursor`.")]
        after: Option<String>,
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

    /// A session by its id; null if it does not exist or belongs to another owner.
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
        #[graphql(desc = "The number of items from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins, such as a page's `endCursor`.")]
        after: Option<String>,
        #[graphql(desc = "The number of items from the end of the range.")] last: Option<i32>,
        #[graphql(desc = "The cursor before which the page ends, such as a page's `startCursor`.")]
        before: Option<String>,
        #[graphql(desc = "The filter of the sessions.")] filter: Option<SessionFilter>,
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

    /// A run by its id; null if it does not exist or belongs to another owner.
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

    /// The open interrupts of the viewer's runs in all sessions, oldest first; `interruptsChanged`
    /// keeps such a list live.
    async fn interrupts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins, such as a page's `endCursor`.")]
        after: Option<String>,
    ) -> Result<Connection<Cursor, Interrupt>> {
        let api = api(ctx)?;
        let page = PageArguments::forward(first, after).check(&api.limits, false)?;
        let open = api.store.open_interrupts(principal(ctx)?, &page).await;
        Ok(connection(open.map_err(ApiError::from)?, |interrupt| {
            (interrupt.id, Arc::new(interrupt).into())
        }))
    }

    /// The server's tools that agents can use, by name.
    async fn tools(&self, ctx: &Context<'_>) -> Result<Vec<Tool>> {
        let tools = api(ctx)?.tools.all();
        charge_items(ctx, tools.len())?;
        Ok(tools.values().map(|tool| Tool(Arc::clone(tool))).collect())
    }

    /// The configured tools that are unavailable now, each with the reason: an unusable schema of
    /// an MCP server's tool, a name already taken, or an unreachable server.
    /// `Agent.unavailableTools` lists those of one agent.
    async fn unavailable_tools(&self, ctx: &Context<'_>) -> Result<Vec<UnavailableTool>> {
        let tools = api(ctx)?.tools.servers().unavailable();
        charge_items(ctx, tools.len())?;
        Ok(tools.into_iter().map(Into::into).collect())
    }

    /// Information about this server.
    async fn server(&self, ctx: &Context<'_>) -> Result<ServerInfo> {
        let (runner, who) = (&api(ctx)?.runner, principal(ctx)?);
        Ok(ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            providers: runner.models.provider_names().map(str::to_owned).collect(),
            active_runs: who.may(Scope::Operator).then(|| runner.bus().len()),
        })
    }
}
