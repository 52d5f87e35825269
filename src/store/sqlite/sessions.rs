//! Sessions.

use async_trait::async_trait;
use sqlx::Sqlite;
use uuid::Uuid;

use crate::domain::{Page, PageRequest, Principal, Session, SessionId};
use crate::store::rows::{SessionRow, all};
use crate::store::{
    NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore, StoreError, queries,
};

use super::SqliteStore;

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError> {
        let session = session.into_session();
        let mut query = queries::insert_session::<Sqlite>(who, &session);
        query.build().execute(&self.writes).await?;
        Ok(session)
    }

    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError> {
        let mut query = queries::update_session::<Sqlite>(who, id, &change);
        let row: Option<SessionRow> = query.build_query_as().fetch_optional(&self.writes).await?;
        row.map(Session::from).ok_or(StoreError::NotFound)
    }

    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let mut delete = queries::delete_session::<Sqlite>(who, id);
        let deleted = delete.build().execute(&mut *transaction).await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        let mut active = queries::active_run_ids::<Sqlite>(&[id]);
        let active: Option<(Uuid, Uuid)> = active
            .build_query_as()
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some((_, run)) = active {
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
        let mut query = queries::sessions_by_id::<Sqlite>(who, ids);
        all::<SessionRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError> {
        let mut query = queries::sessions::<Sqlite>(who, filter, page);
        let rows: Vec<SessionRow> = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(Page::from_rows(page, all(rows)?))
    }
}
