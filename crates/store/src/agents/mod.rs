//! Agents and their versions.

mod api;
mod files;
pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;

use talkgraph_domain::{
    Agent, AgentId, AgentSpec, AgentVersion, AgentVersionId, Page, PageRequest, Principal,
};

use super::StoreError;
use super::dialect::Dialect;
use super::pools::Pools;
use crate::agents::rows::{AgentRow, VersionRow};
use crate::rows::all;

pub use api::{AgentChange, AgentRefusal, VersionCursor};

use api::ApiAgents;
use files::FileAgents;

/// Agents and their versions. File agents belong to the shared tenant and are visible to every
/// principal; those created through the API belong to their tenant. A file agent takes precedence
/// over another of the same name.
#[async_trait]
pub trait AgentStore: Send + Sync {
    /// Synchronises the stored file agents with `specs`: new ones are added, changed ones get a new
    /// version, missing ones are archived. Returns the agents in the order of `specs`.
    async fn sync_file_agents(&self, specs: &[AgentSpec]) -> Result<Vec<Agent>, StoreError>;

    /// Creates or changes an agent of the principal's tenant, in one transaction. Returns the
    /// result. `NotFound` if the tenant has no such agent, `Agent` if the change is refused.
    async fn change_agent(
        &self,
        who: &Principal,
        change: &AgentChange,
    ) -> Result<Agent, StoreError>;

    /// The agents with these ids, archived ones included, in no particular order.
    async fn agents_by_id(
        &self,
        who: &Principal,
        ids: &[AgentId],
    ) -> Result<Vec<Agent>, StoreError>;

    /// The agent with this name, unless archived.
    async fn agent_by_name(&self, who: &Principal, name: &str)
    -> Result<Option<Agent>, StoreError>;

    /// Agents by name, archived ones left out. A cursor is a name.
    async fn agents(
        &self,
        who: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<Agent>, StoreError>;

    /// The versions with these ids, in no particular order.
    async fn agent_versions_by_id(
        &self,
        who: &Principal,
        ids: &[AgentVersionId],
    ) -> Result<Vec<AgentVersion>, StoreError>;

    /// The versions of an agent, latest first.
    async fn agent_versions(
        &self,
        who: &Principal,
        agent: AgentId,
        page: &PageRequest<VersionCursor>,
    ) -> Result<Page<AgentVersion>, StoreError>;
}

#[async_trait]
impl<S: Pools> AgentStore for S {
    async fn sync_file_agents(&self, specs: &[AgentSpec]) -> Result<Vec<Agent>, StoreError> {
        let mut transaction = self.begin().await?;
        lock::<S::Db>(&mut transaction).await?;
        let mut agents = FileAgents::<S::Db>(&mut transaction);
        let agents = agents.sync_file_agents(specs).await?;
        transaction.commit().await?;
        Ok(agents)
    }

    async fn change_agent(
        &self,
        who: &Principal,
        change: &AgentChange,
    ) -> Result<Agent, StoreError> {
        let changed = async {
            let mut transaction = self.begin().await?;
            lock::<S::Db>(&mut transaction).await?;
            let mut agents = ApiAgents::<S::Db>(&mut transaction);
            let agent = agents.change(who, change).await?;
            transaction.commit().await?;
            Ok(agent)
        };
        self.in_time(changed).await
    }

    async fn agents_by_id(
        &self,
        who: &Principal,
        ids: &[AgentId],
    ) -> Result<Vec<Agent>, StoreError> {
        all::<AgentRow, _>(self.read(sql::agents_by_id(who, ids)).await?)
    }

    async fn agent_by_name(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Option<Agent>, StoreError> {
        let rows: Vec<AgentRow> = self.read(sql::agent_by_name(who, name)).await?;
        rows.into_iter().next().map(Agent::try_from).transpose()
    }

    async fn agents(
        &self,
        who: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<Agent>, StoreError> {
        let rows = self.read(sql::agents(who, page)).await?;
        Ok(Page::from_rows(page, all::<AgentRow, _>(rows)?))
    }

    async fn agent_versions_by_id(
        &self,
        who: &Principal,
        ids: &[AgentVersionId],
    ) -> Result<Vec<AgentVersion>, StoreError> {
        let rows = self.read(sql::agent_versions_by_id(who, ids)).await?;
        all::<VersionRow, _>(rows)
    }

    async fn agent_versions(
        &self,
        who: &Principal,
        agent: AgentId,
        page: &PageRequest<VersionCursor>,
    ) -> Result<Page<AgentVersion>, StoreError> {
        let rows = self.read(sql::agent_versions(who, agent, page)).await?;
        Ok(Page::from_rows(page, all::<VersionRow, _>(rows)?))
    }
}

/// Names and counts concern all agents, and servers may start at the same time; changes are few, so
/// they are serialised.
async fn lock<DB: Dialect>(connection: &mut DB::Connection) -> Result<(), StoreError> {
    if let Some(lock) = DB::lock_agents() {
        DB::execute(connection, lock).await?;
    }
    Ok(())
}
