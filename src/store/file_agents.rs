//! Makes the stored file agents equal to the files, in one transaction of either database.

use std::collections::HashSet;

use serde_json::Value as JsonValue;
use sqlx::{Database, Executor, FromRow, IntoArguments, QueryBuilder};

use crate::domain::time::{Timestamp, now};
use crate::domain::{Agent, AgentId, AgentSource, AgentSpec, AgentVersion, AgentVersionId};

use super::StoreError;
use super::queries::{self, Dialect};
use super::rows::AgentRow;

/// The stored file agents, as the transaction on this connection sees them.
pub(crate) struct FileAgents<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB> FileAgents<'_, DB>
where
    DB: Dialect,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'r> AgentRow: FromRow<'r, DB::Row>,
    for<'r> (String,): FromRow<'r, DB::Row>,
{
    /// Does what [`super::AgentStore::sync_file_agents`] says. The caller's transaction has
    /// to keep others from doing the same at the same time.
    pub(crate) async fn sync_file_agents(
        &mut self,
        specs: &[AgentSpec],
    ) -> Result<Vec<Agent>, StoreError> {
        let names: Vec<(String,)> = QueryBuilder::new(queries::FILE_AGENT_NAMES)
            .build_query_as()
            .fetch_all(&mut *self.0)
            .await?;
        let kept: HashSet<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        for (name,) in &names {
            if !kept.contains(name.as_str()) {
                self.run(queries::archive_agent(name)).await?;
            }
        }
        let mut agents = Vec::with_capacity(specs.len());
        for spec in specs {
            agents.push(self.sync_one(spec).await?);
        }
        Ok(agents)
    }

    async fn sync_one(&mut self, spec: &AgentSpec) -> Result<Agent, StoreError> {
        let row: Option<AgentRow> = queries::file_agent(&spec.name)
            .build_query_as()
            .fetch_optional(&mut *self.0)
            .await?;
        let Some(mut agent) = row.map(Agent::try_from).transpose()? else {
            return self.add(spec).await;
        };
        agent.archived_at = None;
        if agent.current.spec != *spec {
            agent.updated_at = now();
            agent.current = version(agent.id, agent.current.number + 1, spec, agent.updated_at);
            self.insert_version(&agent.current).await?;
        }
        self.run(queries::set_current_version(&agent)).await?;
        Ok(agent)
    }

    async fn add(&mut self, spec: &AgentSpec) -> Result<Agent, StoreError> {
        let agent = new_agent(AgentSource::File, spec);
        self.run(queries::insert_agent(&queries::shared(), &agent))
            .await?;
        self.insert_version(&agent.current).await?;
        Ok(agent)
    }

    async fn insert_version(&mut self, version: &AgentVersion) -> Result<(), StoreError> {
        let spec = encode_spec(&version.spec)?;
        let who = queries::shared();
        self.run(queries::insert_agent_version(&who, version, &spec))
            .await
    }

    async fn run(&mut self, mut query: QueryBuilder<DB>) -> Result<(), StoreError> {
        query.build().execute(&mut *self.0).await?;
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

/// A configuration as its row keeps it.
pub(super) fn encode_spec(spec: &AgentSpec) -> Result<JsonValue, StoreError> {
    serde_json::to_value(spec)
        .map_err(|error| StoreError::Internal(format!("an agent cannot be written: {error}")))
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
