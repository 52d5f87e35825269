//! Synchronises the stored file agents with the files, in one transaction of either database.

use std::collections::HashSet;

use serde_json::Value as JsonValue;
use sqlx::{Database, QueryBuilder};

use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{Agent, AgentId, AgentSource, AgentSpec, AgentVersion, AgentVersionId};

use super::sql;
use crate::StoreError;
use crate::agents::rows::AgentRow;
use crate::dialect::{Dialect, fetch, first};

/// The stored file agents, read in the transaction of this connection.
pub(crate) struct FileAgents<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB: Dialect> FileAgents<'_, DB> {
    /// Implements [`super::AgentStore::sync_file_agents`]. The caller's transaction has to exclude
    /// other synchronisations.
    pub(crate) async fn sync_file_agents(
        &mut self,
        specs: &[AgentSpec],
    ) -> Result<Vec<Agent>, StoreError> {
        let query = QueryBuilder::<DB>::new(sql::FILE_AGENT_NAMES);
        let names: Vec<(String,)> = fetch(self.0, query).await?;
        let kept: HashSet<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        for (name,) in &names {
            if !kept.contains(name.as_str()) {
                self.run(sql::archive_agent(name)).await?;
            }
        }
        let mut agents = Vec::with_capacity(specs.len());
        for spec in specs {
            agents.push(self.sync_one(spec).await?);
        }
        Ok(agents)
    }

    async fn sync_one(&mut self, spec: &AgentSpec) -> Result<Agent, StoreError> {
        let query = sql::file_agent::<DB>(&spec.name);
        let row: Option<AgentRow> = first(self.0, query).await?;
        let Some(mut agent) = row.map(Agent::try_from).transpose()? else {
            return self.add(spec).await;
        };
        agent.archived_at = None;
        if !is_same(&agent.current.spec, spec) {
            agent.updated_at = now();
            agent.current = version(agent.id, agent.current.number + 1, spec, agent.updated_at);
            self.insert_version(&agent.current).await?;
        }
        self.run(sql::set_current_version(&agent)).await?;
        Ok(agent)
    }

    async fn add(&mut self, spec: &AgentSpec) -> Result<Agent, StoreError> {
        let agent = new_agent(AgentSource::File, spec);
        self.run(sql::insert_agent(&sql::shared(), &agent)).await?;
        self.insert_version(&agent.current).await?;
        Ok(agent)
    }

    async fn insert_version(&mut self, version: &AgentVersion) -> Result<(), StoreError> {
        let spec = encode_spec(&version.spec)?;
        let who = sql::shared();
        self.run(sql::insert_agent_version(&who, version, &spec))
            .await
    }

    async fn run(&mut self, query: QueryBuilder<DB>) -> Result<(), StoreError> {
        DB::execute(self.0, query).await?;
        Ok(())
    }
}

/// An agent in its first version.
pub(super) fn new_agent(source: AgentSource, spec: &AgentSpec) -> Agent {
    let (id, at) = (AgentId::new(), now());
    Agent {
        id,
        name: spec.name.clone(),
        source,
        created_at: at,
        updated_at: at,
        archived_at: None,
        current: version(id, 1, spec, at),
    }
}

/// A configuration as stored. The schema of its answers is a text: PostgreSQL's `jsonb` would sort
/// its keys, and a model answers in their order.
pub(super) fn encode_spec(spec: &AgentSpec) -> Result<JsonValue, StoreError> {
    let mut row = serde_json::to_value(spec)
        .map_err(|error| StoreError::Internal(format!("an agent cannot be written: {error}")))?;
    if let (Some(schema), Some(fields)) = (&spec.output_schema, row.as_object_mut()) {
        fields.insert("output_schema".to_owned(), schema.to_string().into());
    }
    Ok(row)
}

/// True for two equal configurations with the same order of an answer's properties.
pub(super) fn is_same(one: &AgentSpec, other: &AgentSpec) -> bool {
    let schema = |spec: &AgentSpec| spec.output_schema.as_ref().map(ToString::to_string);
    one == other && schema(one) == schema(other)
}

pub(super) fn version(
    agent_id: AgentId,
    number: i32,
    spec: &AgentSpec,
    at: Timestamp,
) -> AgentVersion {
    AgentVersion {
        id: AgentVersionId::new(),
        agent_id,
        number,
        spec: spec.clone(),
        created_at: at,
    }
}
