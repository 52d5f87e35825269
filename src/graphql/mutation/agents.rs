//! Mutations of agents.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use crate::graphql::input::agent::{
    CreateAgentInput, SetCurrentAgentVersionInput, UpdateAgentInput,
};
use crate::graphql::input::parse_id;
use crate::graphql::types::agent::Agent;
use crate::graphql::types::payload::{
    CreateAgentPayload, DeleteAgentPayload, SetCurrentAgentVersionPayload, UpdateAgentPayload,
};
use crate::graphql::{Api, ApiError, Code, api, principal};
use talkgraph_domain::{AgentId, AgentSource, PageRequest, Principal, Scope};
use talkgraph_store::{AgentChange, AgentRefusal, StoreError, VersionCursor};

/// The mutations that create, change and delete agents.
#[derive(Default)]
pub(super) struct Agents;

/// The mutations that create, change and delete agents.
#[Object]
impl Agents {
    /// Creates an agent of the caller's tenant. Like all changes of agents, it requires a key with
    /// the scope `agents:write`. The name of an existing agent is a CONFLICT; the name of a deleted
    /// agent is free. Repeating the same input returns the agent already created.
    async fn create_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent to create.")] input: CreateAgentInput,
    ) -> Result<CreateAgentPayload> {
        let (api, who) = allowed(ctx)?;
        let spec = input.spec()?;
        check(api, who, &spec).await?;
        let create = AgentChange::Create {
            spec: Box::new(spec),
            most: api.limits.agents,
        };
        let agent = change(api, who, &create, "input.name").await?;
        Ok(CreateAgentPayload { agent })
    }

    /// Creates a new version of an agent for new runs; active runs keep their version. Repeating
    /// the same input returns the version already created.
    async fn update_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The object to change and its new values.")] input: UpdateAgentInput,
    ) -> Result<UpdateAgentPayload> {
        let (api, who) = allowed(ctx)?;
        let id = parse_id("input.id", &input.id)?;
        let agent = own(api, who, id, "input.id").await?;
        let expected = input.expected_version;
        let spec = input.apply(agent.current.spec)?;
        // A stale expected version is reported before other errors.
        if [expected, expected.saturating_add(1)].contains(&agent.current.number) {
            check(api, who, &spec).await?;
        }
        let update = AgentChange::Update {
            id,
            expected,
            spec: Box::new(spec),
            most: api.limits.agent_versions,
        };
        let agent = change(api, who, &update, "input.id").await?;
        Ok(UpdateAgentPayload { agent })
    }

    /// Makes another version of an agent the current one, such as an earlier one.
    async fn set_current_agent_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent and the version to make current.")]
        input: SetCurrentAgentVersionInput,
    ) -> Result<SetCurrentAgentVersionPayload> {
        let (api, who) = allowed(ctx)?;
        let id = parse_id("input.id", &input.id)?;
        own(api, who, id, "input.id").await?;
        check_version(api, who, id, input.version).await?;
        let set = AgentChange::SetCurrent {
            id,
            expected: input.expected_version,
            version: input.version,
        };
        let agent = change(api, who, &set, "input.id").await?;
        Ok(SetCurrentAgentVersionPayload { agent })
    }

    /// Deletes an agent: it starts no more runs and its name becomes free. Its sessions stay
    /// readable and its active runs continue.
    async fn delete_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent's id.")] id: ID,
    ) -> Result<DeleteAgentPayload> {
        let (api, who) = allowed(ctx)?;
        let archive = AgentChange::Archive {
            id: parse_id("id", &id)?,
        };
        let agent = change(api, who, &archive, "id").await?;
        Ok(DeleteAgentPayload {
            agent,
            deleted_agent_id: id,
        })
    }
}

fn allowed<'a>(ctx: &Context<'a>) -> Result<(&'a Api, &'a Principal), ApiError> {
    let who = principal(ctx)?;
    if !who.may(Scope::AgentsWrite) {
        let message = "requires a key with the scope agents:write";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    Ok((api(ctx)?, who))
}

async fn check(
    api: &Api,
    who: &Principal,
    spec: &talkgraph_domain::AgentSpec,
) -> Result<(), ApiError> {
    api.runner.catalog().rules().check(who, spec).await?;
    Ok(api.runner.check_team(who, spec).await??)
}

/// Checks that the server still has all that an old version names.
async fn check_version(
    api: &Api,
    who: &Principal,
    id: AgentId,
    number: i32,
) -> Result<(), ApiError> {
    // The latest version up to this number is the version itself, if it exists.
    let page = PageRequest {
        after: Some(VersionCursor(number.saturating_add(1))),
        before: None,
        limit: 1,
        from_end: false,
    };
    let found = api.store.agent_versions(who, id, &page).await?.items.pop();
    let Some(version) = found.filter(|version| version.number == number) else {
        return Err(AgentRefusal::NoVersion(number).into());
    };
    let rules = api.runner.catalog().rules();
    let checked = rules.check(who, &version.spec).await;
    checked.map_err(|error| {
        let why = format!("version {number} is not usable on this server: {error}");
        ApiError::bad_input("input.version", why)
    })
}

async fn own(
    api: &Api,
    who: &Principal,
    id: AgentId,
    field: &str,
) -> Result<talkgraph_domain::Agent, ApiError> {
    let agent = api.store.agents_by_id(who, &[id]).await?.pop();
    let agent = agent.ok_or_else(|| of_agent(StoreError::NotFound, field))?;
    match agent.source {
        AgentSource::Api => Ok(agent),
        AgentSource::File => Err(ApiError::from(AgentRefusal::OfFile).with_field(field)),
    }
}

async fn change(
    api: &Api,
    who: &Principal,
    change: &AgentChange,
    field: &str,
) -> Result<Agent, ApiError> {
    let changed = api.store.change_agent(who, change).await;
    let agent = changed.map_err(|error| of_agent(error, field))?;
    Ok(Agent(Arc::new(agent)))
}

fn of_agent(error: StoreError, field: &str) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::not_found(field, "there is no agent with this id"),
        StoreError::Agent(refusal @ (AgentRefusal::OfFile | AgentRefusal::Archived)) => {
            ApiError::from(refusal).with_field(field)
        }
        error => error.into(),
    }
}
