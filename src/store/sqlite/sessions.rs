//! Sessions.

use async_trait::async_trait;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::domain::time::now;
use crate::domain::{Page, PageRequest, Principal, Session, SessionId};
use crate::store::rows::{SESSION_COLUMNS, SessionRow, Stamp};
use crate::store::{
    NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore, StoreError,
};

use super::{SqliteStore, push_ids, push_owner};

fn select_sessions(who: &Principal) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(SESSION_COLUMNS);
    query.push(" FROM sessions WHERE deleted_at IS NULL");
    push_owner(&mut query, "", who);
    query
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError> {
        sqlx::query(
            "INSERT INTO sessions (id, tenant, owner, agent_id, title, metadata, branch_length, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7)",
        )
        .bind(session.id.uuid())
        .bind(who.tenant.as_ref())
        .bind(who.owner.as_ref())
        .bind(session.agent_id.uuid())
        .bind(&session.title)
        .bind(Json(&session.metadata))
        .bind(Stamp(session.created_at))
        .execute(&self.writes)
        .await?;
        Ok(session.into_session())
    }

    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError> {
        let mut query = QueryBuilder::new("UPDATE sessions SET updated_at = ");
        query.push_bind(Stamp(now()));
        if let Some(title) = change.title {
            query.push(", title = ").push_bind(title);
        }
        if let Some(metadata) = change.metadata {
            query.push(", metadata = ").push_bind(Json(metadata));
        }
        query.push(" WHERE deleted_at IS NULL AND id = ");
        query.push_bind(id.uuid());
        push_owner(&mut query, "", who);
        query.push(" RETURNING ").push(SESSION_COLUMNS);
        let row: Option<SessionRow> = query.build_query_as().fetch_optional(&self.writes).await?;
        row.map(Session::from).ok_or(StoreError::NotFound)
    }

    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let mut query = QueryBuilder::new("UPDATE sessions SET deleted_at = ");
        query.push_bind(Stamp(now()));
        query.push(" WHERE deleted_at IS NULL AND id = ");
        query.push_bind(id.uuid());
        push_owner(&mut query, "", who);
        if query
            .build()
            .execute(&mut *transaction)
            .await?
            .rows_affected()
            == 0
        {
            return Err(StoreError::NotFound);
        }
        if let Some(run) = active_run(&mut transaction, id).await? {
            return Err(StoreError::ActiveRun(run.into()));
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn sessions_by_id(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = select_sessions(who);
        query.push(" AND id IN ");
        push_ids(&mut query, ids.iter().map(SessionId::uuid));
        let rows: Vec<SessionRow> = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError> {
        let mut query = select_sessions(who);
        if let Some(agent) = filter.agent_id {
            query.push(" AND agent_id = ").push_bind(agent.uuid());
        }
        if let Some(text) = &filter.title_contains {
            // instr() takes the text as it is, where LIKE would read % and _ in it.
            query.push(" AND instr(lower(title), lower(");
            query.push_bind(text.clone()).push(")) > 0");
        }
        // Latest first: what comes after a cursor is older than it.
        push_beyond(&mut query, page.after, " < ");
        push_beyond(&mut query, page.before, " > ");
        let direction = if page.from_end { "ASC" } else { "DESC" };
        query.push(" ORDER BY updated_at ").push(direction);
        query.push(", id ").push(direction);
        query.push(" LIMIT ").push_bind(i64::from(page.limit) + 1);
        let rows: Vec<SessionRow> = query.build_query_as().fetch_all(&self.reads).await?;
        let sessions = rows.into_iter().map(Session::from).collect();
        Ok(Page::from_rows(page, sessions))
    }
}

fn push_beyond(query: &mut QueryBuilder<Sqlite>, cursor: Option<SessionCursor>, than: &str) {
    if let Some(cursor) = cursor {
        query.push(" AND (updated_at, id)").push(than).push("(");
        query.push_bind(Stamp(cursor.updated_at)).push(", ");
        query.push_bind(cursor.id.uuid()).push(")");
    }
}

async fn active_run(
    connection: &mut SqliteConnection,
    session: SessionId,
) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM runs WHERE session_id = $1 AND status IN ('QUEUED', 'RUNNING')",
    )
    .bind(session.uuid())
    .fetch_optional(connection)
    .await?)
}
