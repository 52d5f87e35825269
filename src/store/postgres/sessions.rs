//! Sessions.

use async_trait::async_trait;
use sqlx::Postgres;
use uuid::Uuid;

use crate::domain::{Page, PageRequest, Principal, Session, SessionId};
use crate::store::rows::{SessionRow, all};
use crate::store::{
    NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore, StoreError, queries,
};

use super::PostgresStore;

#[async_trait]
impl SessionStore for PostgresStore {
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError> {
        let session = session.into_session();
        let mut query = queries::insert_session::<Postgres>(who, &session);
        query.build().execute(&self.pool).await?;
        Ok(session)
    }

    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError> {
        let mut query = queries::update_session::<Postgres>(who, id, &change);
        let row: Option<SessionRow> = query.build_query_as().fetch_optional(&self.pool).await?;
        row.map(Session::from).ok_or(StoreError::NotFound)
    }

    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let mut delete = queries::delete_session::<Postgres>(who, id);
        let deleted = delete.build().execute(&mut *transaction).await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        let mut active = queries::active_run_ids::<Postgres>(&[id]);
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
        let mut query = queries::sessions_by_id::<Postgres>(who, ids);
        all::<SessionRow, _>(query.build_query_as().fetch_all(&self.pool).await?)
    }

    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError> {
        let mut query = queries::sessions::<Postgres>(who, filter, page);
        let rows: Vec<SessionRow> = query.build_query_as().fetch_all(&self.pool).await?;
        Ok(Page::from_rows(page, all(rows)?))
    }
}
