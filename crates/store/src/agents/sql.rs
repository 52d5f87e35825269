//! Statements of agents.

use serde_json::Value as JsonValue;
use sqlx::QueryBuilder;

use crate::VersionCursor;
use crate::agents::rows::{AGENT_COLUMNS, VERSION_COLUMNS};
use talkgraph_domain::principal::SHARED_TENANT;
use talkgraph_domain::time::now;
use talkgraph_domain::{Agent, AgentId, AgentVersion, AgentVersionId, PageRequest, Principal};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_limit};

/// The owner of file agents.
pub(crate) fn shared() -> Principal {
    Principal::new(SHARED_TENANT, SHARED_TENANT, "server")
}

fn select_agents<DB: Dialect>(who: &Principal) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(AGENT_COLUMNS);
    query.push(" FROM agents a JOIN agent_versions v ON v.id = a.current_version_id");
    push(
        &mut query,
        " WHERE a.tenant IN ('*', ",
        Value::Text(&who.tenant),
    );
    query.push(")");
    query
}

pub(crate) fn agents_by_id<DB: Dialect>(who: &Principal, ids: &[AgentId]) -> QueryBuilder<DB> {
    let mut query = select_agents(who);
    push_in(&mut query, " AND a.id ", ids.iter().map(AgentId::uuid));
    query
}

pub(crate) fn agent_by_name<DB: Dialect>(who: &Principal, name: &str) -> QueryBuilder<DB> {
    let mut query = select_agents(who);
    push(
        &mut query,
        " AND a.archived_at IS NULL AND a.name = ",
        Value::Text(name),
    );
    // A file that came later takes the name.
    query.push(" ORDER BY a.tenant <> '*' LIMIT 1");
    query
}

pub(crate) fn agents<DB: Dialect>(who: &Principal, page: &PageRequest<String>) -> QueryBuilder<DB> {
    let mut query = select_agents(who);
    // By one name there is one agent, also in lists: a cursor is a name.
    query.push(
        " AND a.archived_at IS NULL AND (a.tenant = '*' OR NOT EXISTS (SELECT 1 FROM agents f \
         WHERE f.tenant = '*' AND f.archived_at IS NULL AND f.name = a.name))",
    );
    if let Some(after) = &page.after {
        push(&mut query, " AND a.name > ", Value::Text(after));
    }
    if let Some(before) = &page.before {
        push(&mut query, " AND a.name < ", Value::Text(before));
    }
    let direction = if page.from_end { "DESC" } else { "ASC" };
    query.push(" ORDER BY a.name ").push(direction);
    push_limit(&mut query, i64::from(page.limit) + 1);
    query
}

pub(crate) fn agent_versions_by_id<DB: Dialect>(
    who: &Principal,
    ids: &[AgentVersionId],
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(VERSION_COLUMNS);
    push(
        &mut query,
        " FROM agent_versions WHERE tenant IN ('*', ",
        Value::Text(&who.tenant),
    );
    push_in(
        &mut query,
        ") AND id ",
        ids.iter().map(AgentVersionId::uuid),
    );
    query
}

/// The versions of an agent, latest first.
pub(crate) fn agent_versions<DB: Dialect>(
    who: &Principal,
    agent: AgentId,
    page: &PageRequest<VersionCursor>,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(VERSION_COLUMNS);
    push(
        &mut query,
        " FROM agent_versions WHERE tenant IN ('*', ",
        Value::Text(&who.tenant),
    );
    push(&mut query, ") AND agent_id = ", Value::Id(agent.uuid()));
    if let Some(VersionCursor(number)) = page.after {
        push(&mut query, " AND number < ", Value::Number(number.into()));
    }
    if let Some(VersionCursor(number)) = page.before {
        push(&mut query, " AND number > ", Value::Number(number.into()));
    }
    let direction = if page.from_end { "ASC" } else { "DESC" };
    query.push(" ORDER BY number ").push(direction);
    push_limit(&mut query, i64::from(page.limit) + 1);
    query
}

/// An agent's version by its number.
pub(crate) fn agent_version<DB: Dialect>(agent: AgentId, number: i32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(VERSION_COLUMNS);
    push(
        &mut query,
        " FROM agent_versions WHERE agent_id = ",
        Value::Id(agent.uuid()),
    );
    push(&mut query, " AND number = ", Value::Number(number.into()));
    query
}

/// The number of an agent's latest version, which is also their count.
pub(crate) fn latest_version<DB: Dialect>(agent: AgentId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT max(number) FROM agent_versions WHERE agent_id = ");
    DB::bind(&mut query, Value::Id(agent.uuid()));
    query
}

/// The number of a tenant's agents that were created through the API.
pub(crate) fn count_api_agents<DB: Dialect>(who: &Principal) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT count(*) FROM agents WHERE source = 'API' AND archived_at IS NULL AND tenant = ",
    );
    DB::bind(&mut query, Value::Text(&who.tenant));
    query
}

/// Archives an agent that was created through the API.
pub(crate) fn archive_api_agent<DB: Dialect>(agent: &Agent) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE agents SET archived_at = ");
    DB::bind(
        &mut query,
        Value::Time(agent.archived_at.unwrap_or_else(now)),
    );
    push(
        &mut query,
        " WHERE source = 'API' AND id = ",
        Value::Id(agent.id.uuid()),
    );
    query
}

/// The names of the file agents that are not archived.
pub(crate) const FILE_AGENT_NAMES: &str =
    "SELECT name FROM agents WHERE source = 'FILE' AND archived_at IS NULL";

pub(crate) fn archive_agent<DB: Dialect>(name: &str) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE agents SET archived_at = ");
    DB::bind(&mut query, Value::Time(now()));
    push(
        &mut query,
        " WHERE source = 'FILE' AND name = ",
        Value::Text(name),
    );
    query
}

/// The file agent of this name, archived or not.
pub(crate) fn file_agent<DB: Dialect>(name: &str) -> QueryBuilder<DB> {
    let mut query = select_agents(&shared());
    push(&mut query, " AND a.name = ", Value::Text(name));
    query
}

pub(crate) fn insert_agent<DB: Dialect>(who: &Principal, agent: &Agent) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO agents (source, tenant, owner, id, name, current_version_id, created_at, \
         updated_at) VALUES (",
    );
    DB::bind(&mut query, Value::Text(agent.source.into()));
    push(&mut query, ", ", Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::Id(agent.id.uuid()));
    push(&mut query, ", ", Value::Text(&agent.name));
    push(&mut query, ", ", Value::Id(agent.current.id.uuid()));
    push(&mut query, ", ", Value::Time(agent.created_at));
    push(&mut query, ", ", Value::Time(agent.updated_at));
    query.push(")");
    query
}

pub(crate) fn insert_agent_version<DB: Dialect>(
    who: &Principal,
    version: &AgentVersion,
    spec: &JsonValue,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO agent_versions (tenant, owner, id, agent_id, number, spec, created_at) \
         VALUES (",
    );
    DB::bind(&mut query, Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::Id(version.id.uuid()));
    push(&mut query, ", ", Value::Id(version.agent_id.uuid()));
    push(&mut query, ", ", Value::Number(version.number.into()));
    push(&mut query, ", ", Value::Json(spec));
    push(&mut query, ", ", Value::Time(version.created_at));
    query.push(")");
    query
}

/// Sets the agent's current version, and unarchives the agent.
pub(crate) fn set_current_version<DB: Dialect>(agent: &Agent) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE agents SET archived_at = NULL");
    push(
        &mut query,
        ", current_version_id = ",
        Value::Id(agent.current.id.uuid()),
    );
    push(&mut query, ", updated_at = ", Value::Time(agent.updated_at));
    push(&mut query, " WHERE id = ", Value::Id(agent.id.uuid()));
    query
}
