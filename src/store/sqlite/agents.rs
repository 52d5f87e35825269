//! Agents and their versions.

use async_trait::async_trait;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::domain::principal::SHARED_TENANT;
use crate::domain::time::{Timestamp, now};
use crate::domain::{
    Agent, AgentId, AgentSource, AgentSpec, AgentVersion, AgentVersionId, Page, PageRequest,
    Principal,
};
use crate::store::rows::{AGENT_COLUMNS, AgentRow, Stamp, VERSION_COLUMNS, VersionRow, all};
use crate::store::{AgentStore, StoreError};

use super::{SqliteStore, push_ids};

fn select_agents(who: &Principal) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(AGENT_COLUMNS);
    query.push(" FROM agents a JOIN agent_versions v ON v.id = a.current_version_id");
    query.push(" WHERE a.tenant IN ('*', ");
    query.push_bind(who.tenant.to_string());
    query.push(")");
    query
}

#[async_trait]
impl AgentStore for SqliteStore {
    async fn sync_file_agents(&self, specs: &[AgentSpec]) -> Result<Vec<Agent>, StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        archive_others(&mut transaction, specs).await?;
        let mut agents = Vec::with_capacity(specs.len());
        for spec in specs {
            agents.push(sync_one(&mut transaction, spec).await?);
        }
        transaction.commit().await?;
        Ok(agents)
    }

    async fn agents_by_id(
        &self,
        who: &Principal,
        ids: &[AgentId],
    ) -> Result<Vec<Agent>, StoreError> {
        let mut query = select_agents(who);
        query.push(" AND a.id IN ");
        push_ids(&mut query, ids.iter().map(AgentId::uuid));
        all::<AgentRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn agent_by_name(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Option<Agent>, StoreError> {
        let mut query = select_agents(who);
        query.push(" AND a.archived_at IS NULL AND a.name = ");
        query.push_bind(name.to_owned());
        // A tenant's own agent hides the shared one of the same name; '*' sorts first.
        query.push(" ORDER BY a.tenant DESC LIMIT 1");
        let row: Option<AgentRow> = query.build_query_as().fetch_optional(&self.reads).await?;
        row.map(Agent::try_from).transpose()
    }

    async fn agents(
        &self,
        who: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<Agent>, StoreError> {
        let mut query = select_agents(who);
        query.push(" AND a.archived_at IS NULL");
        if let Some(after) = &page.after {
            query.push(" AND a.name > ").push_bind(after.clone());
        }
        if let Some(before) = &page.before {
            query.push(" AND a.name < ").push_bind(before.clone());
        }
        let direction = if page.from_end { "DESC" } else { "ASC" };
        query.push(" ORDER BY a.name ").push(direction);
        query.push(" LIMIT ").push_bind(i64::from(page.limit) + 1);
        let rows: Vec<AgentRow> = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(Page::from_rows(page, all(rows)?))
    }

    async fn agent_versions_by_id(
        &self,
        who: &Principal,
        ids: &[AgentVersionId],
    ) -> Result<Vec<AgentVersion>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(VERSION_COLUMNS);
        query.push(" FROM agent_versions WHERE tenant IN ('*', ");
        query.push_bind(who.tenant.to_string());
        query.push(") AND id IN ");
        push_ids(&mut query, ids.iter().map(AgentVersionId::uuid));
        all::<VersionRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }
}

async fn archive_others(
    connection: &mut SqliteConnection,
    specs: &[AgentSpec],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::new("UPDATE agents SET archived_at = ");
    query.push_bind(Stamp(now()));
    query.push(" WHERE source = 'FILE' AND archived_at IS NULL AND name NOT IN (");
    let mut names = query.separated(", ");
    for spec in specs {
        names.push_bind(spec.name.clone());
    }
    query.push(")");
    query.build().execute(connection).await?;
    Ok(())
}

async fn sync_one(
    connection: &mut SqliteConnection,
    spec: &AgentSpec,
) -> Result<Agent, StoreError> {
    let mut query = select_agents(&Principal::new(SHARED_TENANT, SHARED_TENANT, "server"));
    query.push(" AND a.name = ").push_bind(spec.name.clone());
    let row: Option<AgentRow> = query
        .build_query_as()
        .fetch_optional(&mut *connection)
        .await?;
    let Some(mut agent) = row.map(Agent::try_from).transpose()? else {
        return add(connection, spec).await;
    };
    if agent.current.spec != *spec {
        agent.updated_at = now();
        agent.current = version(agent.id, agent.current.number + 1, spec, agent.updated_at);
        insert_version(connection, &agent.current).await?;
    }
    sqlx::query(
        "UPDATE agents SET current_version_id = $1, updated_at = $2, archived_at = NULL
         WHERE id = $3",
    )
    .bind(agent.current.id.uuid())
    .bind(Stamp(agent.updated_at))
    .bind(agent.id.uuid())
    .execute(connection)
    .await?;
    Ok(agent)
}

async fn add(connection: &mut SqliteConnection, spec: &AgentSpec) -> Result<Agent, StoreError> {
    let at = now();
    let id = AgentId::new();
    let agent = Agent {
        id,
        name: spec.name.clone(),
        source: AgentSource::File,
        created_at: at,
        updated_at: at,
        current: version(id, 1, spec, at),
    };
    sqlx::query(
        "INSERT INTO agents (id, tenant, owner, name, source, current_version_id, created_at, updated_at)
         VALUES ($1, $2, $2, $3, 'FILE', $4, $5, $5)",
    )
    .bind(id.uuid())
    .bind(SHARED_TENANT)
    .bind(&spec.name)
    .bind(agent.current.id.uuid())
    .bind(Stamp(at))
    .execute(&mut *connection)
    .await?;
    insert_version(connection, &agent.current).await?;
    Ok(agent)
}

fn version(agent_id: AgentId, number: i32, spec: &AgentSpec, at: Timestamp) -> AgentVersion {
    AgentVersion {
        id: AgentVersionId::new(),
        agent_id,
        number,
        spec: spec.clone(),
        created_at: at,
    }
}

async fn insert_version(
    connection: &mut SqliteConnection,
    version: &AgentVersion,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO agent_versions (id, tenant, owner, agent_id, number, spec, created_at)
         VALUES ($1, $2, $2, $3, $4, $5, $6)",
    )
    .bind(version.id.uuid())
    .bind(SHARED_TENANT)
    .bind(version.agent_id.uuid())
    .bind(version.number)
    .bind(Json(&version.spec))
    .bind(Stamp(version.created_at))
    .execute(connection)
    .await?;
    Ok(())
}
