//! Agents and their versions.

use async_trait::async_trait;
use sqlx::Sqlite;

use crate::domain::{
    Agent, AgentId, AgentSpec, AgentVersion, AgentVersionId, Page, PageRequest, Principal,
};
use crate::store::api_agents::ApiAgents;
use crate::store::file_agents::FileAgents;
use crate::store::rows::{AgentRow, VersionRow, all};
use crate::store::{AgentChange, AgentStore, StoreError, VersionCursor, queries};

use super::SqliteStore;

#[async_trait]
impl AgentStore for SqliteStore {
    async fn sync_file_agents(&self, specs: &[AgentSpec]) -> Result<Vec<Agent>, StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let agents = FileAgents::<Sqlite>(&mut transaction)
            .sync_file_agents(specs)
            .await?;
        transaction.commit().await?;
        Ok(agents)
    }

    async fn change_agent(
        &self,
        who: &Principal,
        change: &AgentChange,
    ) -> Result<Agent, StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let agent = ApiAgents::<Sqlite>(&mut transaction)
            .change(who, change)
            .await?;
        transaction.commit().await?;
        Ok(agent)
    }

    async fn agents_by_id(
        &self,
        who: &Principal,
        ids: &[AgentId],
    ) -> Result<Vec<Agent>, StoreError> {
        let mut query = queries::agents_by_id::<Sqlite>(who, ids);
        all::<AgentRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn agent_by_name(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Option<Agent>, StoreError> {
        let mut query = queries::agent_by_name::<Sqlite>(who, name);
        let row: Option<AgentRow> = query.build_query_as().fetch_optional(&self.reads).await?;
        row.map(Agent::try_from).transpose()
    }

    async fn agents(
        &self,
        who: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<Agent>, StoreError> {
        let mut query = queries::agents::<Sqlite>(who, page);
        let rows: Vec<AgentRow> = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(Page::from_rows(page, all(rows)?))
    }

    async fn agent_versions_by_id(
        &self,
        who: &Principal,
        ids: &[AgentVersionId],
    ) -> Result<Vec<AgentVersion>, StoreError> {
        let mut query = queries::agent_versions_by_id::<Sqlite>(who, ids);
        all::<VersionRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn agent_versions(
        &self,
        who: &Principal,
        agent: AgentId,
        page: &PageRequest<VersionCursor>,
    ) -> Result<Page<AgentVersion>, StoreError> {
        let mut query = queries::agent_versions::<Sqlite>(who, agent, page);
        let rows: Vec<VersionRow> = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(Page::from_rows(page, all(rows)?))
    }
}
