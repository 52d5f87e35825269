//! Agents that are created and changed through the API, in one transaction of either database.

use sqlx::{Database, QueryBuilder};
use thiserror::Error;

use talkgraph_domain::time::now;
use talkgraph_domain::{Agent, AgentId, AgentSource, AgentSpec, AgentVersion, Principal};

use super::files::{encode_spec, is_same, new_agent, version};
use super::sql;
use crate::StoreError;
use crate::agents::rows::{AgentRow, VersionRow};
use crate::dialect::{Dialect, first, one};

/// A change of an agent. Each can be retried: a change that is in effect already changes nothing.
#[derive(Debug, Clone)]
pub enum AgentChange {
    /// A new agent.
    Create {
        /// The configuration.
        spec: Box<AgentSpec>,
        /// The limit of agents of the tenant.
        most: u32,
    },
    /// A new version, which becomes the current one.
    Update {
        /// The agent.
        id: AgentId,
        /// The number of the version that the caller has seen as the current one.
        expected: i32,
        /// The new configuration.
        spec: Box<AgentSpec>,
        /// The limit of versions of the agent.
        most: u32,
    },
    /// Another version becomes the current one.
    SetCurrent {
        /// The agent.
        id: AgentId,
        /// The number of the version that the caller has seen as the current one.
        expected: i32,
        /// The number of the version to activate.
        version: i32,
    },
    /// The agent is archived, and its name is free.
    Archive {
        /// The agent.
        id: AgentId,
    },
}

/// The reason to refuse a change of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AgentRefusal {
    /// Another agent has the name.
    #[error("there is another agent of this name")]
    NameTaken,
    /// The agent is defined by a file.
    #[error("the agent comes from a file on the server and can only be changed there")]
    OfFile,
    /// The agent is archived.
    #[error("the agent was deleted")]
    Archived,
    /// Another caller has changed the agent.
    #[error("the agent's current version is {0}")]
    OtherVersion(i32),
    /// The agent has no version of that number.
    #[error("the agent has no version {0}")]
    NoVersion(i32),
    /// The tenant has reached its limit of agents.
    #[error("a tenant may have {0} agents at most; delete some first")]
    TooManyAgents(u32),
    /// The agent has reached its limit of versions.
    #[error("an agent may have {0} versions at most")]
    TooManyVersions(u32),
}

/// The place of a version in the list of an agent's versions: its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionCursor(pub i32);

/// The stored agents, read in the transaction of this connection.
pub(crate) struct ApiAgents<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB: Dialect> ApiAgents<'_, DB> {
    /// Implements [`super::AgentStore::change_agent`]. The caller's transaction has to exclude
    /// other changes of agents.
    pub(crate) async fn change(
        &mut self,
        who: &Principal,
        change: &AgentChange,
    ) -> Result<Agent, StoreError> {
        match change {
            AgentChange::Create { spec, most } => self.create(who, spec, *most).await,
            AgentChange::Update {
                id,
                expected,
                spec,
                most,
            } => {
                let agent = self.own(who, *id).await?;
                // A caller that retries after a lost answer has seen the version before.
                let is_done = is_same(&agent.current.spec, spec)
                    && [agent.current.number, agent.current.number - 1].contains(expected);
                match is_done {
                    true => Ok(agent),
                    false => self.update(who, agent, *expected, spec, *most).await,
                }
            }
            AgentChange::SetCurrent {
                id,
                expected,
                version,
            } => {
                let agent = self.own(who, *id).await?;
                match agent.current.number == *version {
                    true => Ok(agent),
                    false => self.set_current(agent, *expected, *version).await,
                }
            }
            AgentChange::Archive { id } => self.archive(who, *id).await,
        }
    }

    async fn create(
        &mut self,
        who: &Principal,
        spec: &AgentSpec,
        most: u32,
    ) -> Result<Agent, StoreError> {
        let query = sql::agent_by_name::<DB>(who, &spec.name);
        let row: Option<AgentRow> = first(self.0, query).await?;
        if let Some(there) = row.map(Agent::try_from).transpose()? {
            // Most likely a retry by the caller that has created it.
            let is_done = there.source == AgentSource::Api
                && there.current.number == 1
                && is_same(&there.current.spec, spec);
            return is_done
                .then_some(there)
                .ok_or_else(|| AgentRefusal::NameTaken.into());
        }
        let query = sql::count_api_agents::<DB>(who);
        let (there,): (i64,) = one(self.0, query).await?;
        if there >= i64::from(most) {
            return Err(AgentRefusal::TooManyAgents(most).into());
        }
        let agent = new_agent(AgentSource::Api, spec);
        self.run(sql::insert_agent(who, &agent)).await?;
        self.insert_version(who, &agent.current).await?;
        Ok(agent)
    }

    async fn update(
        &mut self,
        who: &Principal,
        mut agent: Agent,
        expected: i32,
        spec: &AgentSpec,
        most: u32,
    ) -> Result<Agent, StoreError> {
        expect(&agent, expected)?;
        let query = sql::latest_version::<DB>(agent.id);
        let (latest,): (Option<i32>,) = one(self.0, query).await?;
        let latest = latest.unwrap_or(0);
        if i64::from(latest) >= i64::from(most) {
            return Err(AgentRefusal::TooManyVersions(most).into());
        }
        agent.updated_at = now();
        agent.current = version(agent.id, latest + 1, spec, agent.updated_at);
        self.insert_version(who, &agent.current).await?;
        self.run(sql::set_current_version(&agent)).await?;
        Ok(agent)
    }

    async fn set_current(
        &mut self,
        mut agent: Agent,
        expected: i32,
        number: i32,
    ) -> Result<Agent, StoreError> {
        expect(&agent, expected)?;
        let query = sql::agent_version::<DB>(agent.id, number);
        let row: Option<VersionRow> = first(self.0, query).await?;
        let row = row.ok_or(AgentRefusal::NoVersion(number))?;
        agent.current = AgentVersion::from(row);
        agent.updated_at = now();
        self.run(sql::set_current_version(&agent)).await?;
        Ok(agent)
    }

    async fn archive(&mut self, who: &Principal, id: AgentId) -> Result<Agent, StoreError> {
        let mut agent = self.find(who, id).await?;
        if agent.archived_at.is_none() {
            agent.archived_at = Some(now());
            self.run(sql::archive_api_agent(&agent)).await?;
        }
        Ok(agent)
    }

    /// An agent that may be changed.
    async fn own(&mut self, who: &Principal, id: AgentId) -> Result<Agent, StoreError> {
        let agent = self.find(who, id).await?;
        match agent.archived_at {
            None => Ok(agent),
            Some(_) => Err(AgentRefusal::Archived.into()),
        }
    }

    async fn find(&mut self, who: &Principal, id: AgentId) -> Result<Agent, StoreError> {
        let query = sql::agents_by_id::<DB>(who, &[id]);
        let row: Option<AgentRow> = first(self.0, query).await?;
        let agent = Agent::try_from(row.ok_or(StoreError::NotFound)?)?;
        match agent.source {
            AgentSource::Api => Ok(agent),
            AgentSource::File => Err(AgentRefusal::OfFile.into()),
        }
    }

    async fn insert_version(
        &mut self,
        who: &Principal,
        version: &AgentVersion,
    ) -> Result<(), StoreError> {
        let spec = encode_spec(&version.spec)?;
        self.run(sql::insert_agent_version(who, version, &spec))
            .await
    }

    async fn run(&mut self, query: QueryBuilder<DB>) -> Result<(), StoreError> {
        DB::execute(self.0, query).await?;
        Ok(())
    }
}

fn expect(agent: &Agent, expected: i32) -> Result<(), AgentRefusal> {
    match agent.current.number {
        current if current == expected => Ok(()),
        current => Err(AgentRefusal::OtherVersion(current)),
    }
}
