//! Sessions.

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use crate::domain::{MessageId, Page, PageRequest, Principal, Session, SessionId};
use crate::store::rows::{MessageRow, SessionRow, SummaryRow, all};
use crate::store::{
    NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore, StoreError, queries,
};

use super::PostgresStore;

/// Whether a run is being made in a session that this transaction has changed, and so keeps
/// others from starting one.
async fn refuse_active(
    connection: &mut PgConnection,
    session: SessionId,
) -> Result<(), StoreError> {
    let mut active = queries::active_run_ids::<Postgres>(&[session]);
    let active: Option<(Uuid, Uuid)> = active.build_query_as().fetch_optional(connection).await?;
    active.map_or(Ok(()), |(_, run)| Err(StoreError::ActiveRun(run.into())))
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError> {
        let session = session.into_session();
        let mut query = queries::insert_session::<Postgres>(who, &session);
        self.patience
            .wait(query.build().execute(&self.pool))
            .await?;
        Ok(session)
    }

    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError> {
        let mut query = queries::update_session::<Postgres>(who, id, &change);
        let row: Option<SessionRow> = self
            .patience
            .wait(query.build_query_as().fetch_optional(&self.pool))
            .await?;
        row.map(Session::from).ok_or(StoreError::NotFound)
    }

    async fn switch_branch(
        &self,
        who: &Principal,
        message: MessageId,
    ) -> Result<Session, StoreError> {
        let changed = async {
            let mut transaction = self.pool.begin().await?;
            let mut switch = queries::switch_branch::<Postgres>(who, message);
            let switched: Option<SessionRow> = switch
                .build_query_as()
                .fetch_optional(&mut *transaction)
                .await?;
            let session = Session::from(switched.ok_or(StoreError::NotFound)?);
            refuse_active(&mut transaction, session.id).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(session)
        };
        self.patience.wait(changed).await
    }

    async fn fork_session(
        &self,
        who: &Principal,
        message: MessageId,
        new: SessionId,
        title: Option<&str>,
    ) -> Result<Session, StoreError> {
        let changed = async {
            let mut transaction = self.pool.begin().await?;
            let mut fork = queries::fork_session::<Postgres>(who, message, new, title);
            let forked: Option<SessionRow> = fork
                .build_query_as()
                .fetch_optional(&mut *transaction)
                .await?;
            let mut session = Session::from(forked.ok_or(StoreError::NotFound)?);
            let mut path = queries::path_to::<Postgres>(who, message);
            let rows: Vec<MessageRow> = path.build_query_as().fetch_all(&mut *transaction).await?;
            let copies = queries::copied(all(rows)?, new);
            for copies in copies.chunks(queries::COPIED_AT_ONCE) {
                let mut insert = queries::insert_copies::<Postgres>(who, copies)?;
                insert.build().execute(&mut *transaction).await?;
            }
            session.head = copies.last().map(|copy| copy.id);
            let mut set = queries::set_first_head::<Postgres>(&session);
            set.build().execute(&mut *transaction).await?;
            let mut summary = queries::summary_of_branch::<Postgres>(who, message);
            let summary: Option<SummaryRow> = summary
                .build_query_as()
                .fetch_optional(&mut *transaction)
                .await?;
            if let Some(copy) = queries::copied_summary(summary, &copies) {
                let mut keep = queries::keep_summary::<Postgres>(who, &copy, session.created_at);
                keep.build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok::<_, StoreError>(session)
        };
        self.patience.wait(changed).await
    }

    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError> {
        let changed = async {
            let mut transaction = self.pool.begin().await?;
            let mut delete = queries::delete_session::<Postgres>(who, id);
            let deleted = delete.build().execute(&mut *transaction).await?;
            if deleted.rows_affected() == 0 {
                return Err(StoreError::NotFound);
            }
            refuse_active(&mut transaction, id).await?;
            let mut drop = queries::drop_summaries::<Postgres>(id);
            drop.build().execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        };
        self.patience.wait(changed).await
    }

    async fn sessions_by_id(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = queries::sessions_by_id::<Postgres>(who, ids);
        all::<SessionRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn sessions_even_deleted(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = queries::sessions_even_deleted::<Postgres>(who, ids);
        all::<SessionRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError> {
        let mut query = queries::sessions::<Postgres>(who, filter, page);
        let rows: Vec<SessionRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        Ok(Page::from_rows(page, all(rows)?))
    }
}
