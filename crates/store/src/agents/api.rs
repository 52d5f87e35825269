//! Agents that are made and changed through the API, in one transaction of either database.

use sqlx::{Database, QueryBuilder};
use thiserror::Error;

use talkgraph_domain::time::now;
use talkgraph_domain::{Agent, AgentId, AgentSource, AgentSpec, AgentVersion, Principal};

use super::files::{encode_spec, is_same, new_agent, version};
use super::sql;
use crate::StoreError;
use crate::agents::rows::{AgentRow, VersionRow};
use crate::dialect::{Dialect, first, one};

/// What becomes of an agent. Each can be sent again: what is so already stays as it is.
#[derive(Debug, Clone)]
pub enum AgentChange {
    /// There is one more.
    Create {
        /// Its configuration.
        spec: Box<AgentSpec>,
        /// How many agents the tenant may have.
        most: u32,
    },
    /// It gets a new version, which is the current one.
    Update {
        /// Which.
        id: AgentId,
        /// The number of the version that the caller has seen as the current one.
        expected: i32,
        /// Its new configuration.
        spec: Box<AgentSpec>,
        /// How many versions it may have.
        most: u32,
    },
    /// Another of its versions is the current one.
    SetCurrent {
        /// Which.
        id: AgentId,
        /// The number of the version that the caller has seen as the current one.
        expected: i32,
        /// The number of the version that is to be it.
        version: i32,
    },
    /// It is archived, and its name is free.
    Archive {
        /// Which.
        id: AgentId,
    },
}

/// Why an agent cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AgentRefusal {
    /// Another one has the name.
    #[error("there is another agent of this name")]
    NameTaken,
    /// It belongs to a file.
    #[error("the agent comes from a file on the server and can only be changed there")]
    OfFile,
    /// It is archived.
    #[error("the agent was deleted")]
    Archived,
    /// Somebody else has changed it.
    #[error("the agent's current version is {0}")]
    OtherVersion(i32),
    /// It has no version of that number.
    #[error("the agent has no version {0}")]
    NoVersion(i32),
    /// The tenant has as many as it may.
    #[error("a tenant may have {0} agents at most; delete some first")]
    TooManyAgents(u32),
    /// It has as many versions as it may.
    #[error("an agent may have {0} versions at most")]
    TooManyVersions(u32),
}

/// The place of a version in the list of an agent's versions: its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionCursor(pub i32);

/// The stored agents, as the transaction on this connection sees them.
pub(crate) struct ApiAgents<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB: Dialect> ApiAgents<'_, DB> {
    /// Does what [`super::AgentStore::change_agent`] says. The caller's transaction has to keep
    /// others from changing agents at the same time.
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
                // Whoever hears nothing and sends it again has seen the version before.
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
            // Sent once more by whoever has made it, most likely.
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

    /// An agent that can be changed.
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
