//! Agents and their versions.

use async_trait::async_trait;
use sqlx::Postgres;

use crate::domain::{
    Agent, AgentId, AgentSpec, AgentVersion, AgentVersionId, Page, PageRequest, Principal,
};
use crate::store::api_agents::ApiAgents;
use crate::store::file_agents::FileAgents;
use crate::store::rows::{AgentRow, VersionRow, all};
use crate::store::{AgentChange, AgentStore, StoreError, VersionCursor, queries};

use super::PostgresStore;

/// Any number that nothing else in the database uses.
const AGENTS_LOCK: i64 = 0x7461_6c6b_6167_656e;

#[async_trait]
impl AgentStore for PostgresStore {
    async fn sync_file_agents(&self, specs: &[AgentSpec]) -> Result<Vec<Agent>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // Nodes that start at the same time take turns.
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(AGENTS_LOCK)
            .execute(&mut *transaction)
            .await?;
        let agents = FileAgents::<Postgres>(&mut transaction)
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
        let changed = async {
            let mut transaction = self.pool.begin().await?;
            // Names and counts are of all agents; changes are few, so they take turns.
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(AGENTS_LOCK)
                .execute(&mut *transaction)
                .await?;
            let agent = ApiAgents::<Postgres>(&mut transaction)
                .change(who, change)
                .await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(agent)
        };
        self.patience.wait(changed).await
    }

    async fn agents_by_id(
        &self,
        who: &Principal,
        ids: &[AgentId],
    ) -> Result<Vec<Agent>, StoreError> {
        let mut query = queries::agents_by_id::<Postgres>(who, ids);
        all::<AgentRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn agent_by_name(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Option<Agent>, StoreError> {
        let mut query = queries::agent_by_name::<Postgres>(who, name);
        let row: Option<AgentRow> = self
            .patience
            .wait(query.build_query_as().fetch_optional(&self.pool))
            .await?;
        row.map(Agent::try_from).transpose()
    }

    async fn agents(
        &self,
        who: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<Agent>, StoreError> {
        let mut query = queries::agents::<Postgres>(who, page);
        let rows: Vec<AgentRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        Ok(Page::from_rows(page, all(rows)?))
    }

    async fn agent_versions_by_id(
        &self,
        who: &Principal,
        ids: &[AgentVersionId],
    ) -> Result<Vec<AgentVersion>, StoreError> {
        let mut query = queries::agent_versions_by_id::<Postgres>(who, ids);
        all::<VersionRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn agent_versions(
        &self,
        who: &Principal,
        agent: AgentId,
        page: &PageRequest<VersionCursor>,
    ) -> Result<Page<AgentVersion>, StoreError> {
        let mut query = queries::agent_versions::<Postgres>(who, agent, page);
        let rows: Vec<VersionRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        Ok(Page::from_rows(page, all(rows)?))
    }
}
