//! Sessions.

use async_trait::async_trait;
use sqlx::types::{Json, Uuid};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::domain::{MessageId, Page, PageRequest, Principal, Session, SessionId};
use crate::store::rows::{MessageRow, SessionRow, SummaryRow, all};
use crate::store::{
    NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore, StoreError, queries,
};

use super::SqliteStore;

/// A session as JSON, an array of [`crate::store::rows::SESSION_COLUMNS`]: a page is read as
/// one value, as messages are.
const SESSION_JSON: &str = "json_array(hex(id), hex(agent_id), nullif(hex(parent_run_id), ''), \
    title, json(metadata), nullif(hex(head_message_id), ''), branch_length, enqueued_runs, turns, \
    created_at, updated_at, deleted_at, nullif(hex(active_run_id), ''), active_last_sequence)";

/// Whether a run is being made in a session that this transaction has changed, and so keeps
/// others from starting one.
async fn refuse_active(
    connection: &mut SqliteConnection,
    session: SessionId,
) -> Result<(), StoreError> {
    let mut active = queries::active_run_ids::<Sqlite>(&[session]);
    let active: Option<(Uuid, Uuid)> = active.build_query_as().fetch_optional(connection).await?;
    active.map_or(Ok(()), |(_, run)| Err(StoreError::ActiveRun(run.into())))
}

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

    async fn switch_branch(
        &self,
        who: &Principal,
        message: MessageId,
    ) -> Result<Session, StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let mut switch = queries::switch_branch::<Sqlite>(who, message);
        let switched: Option<SessionRow> = switch
            .build_query_as()
            .fetch_optional(&mut *transaction)
            .await?;
        let session = Session::from(switched.ok_or(StoreError::NotFound)?);
        refuse_active(&mut transaction, session.id).await?;
        transaction.commit().await?;
        Ok(session)
    }

    async fn fork_session(
        &self,
        who: &Principal,
        message: MessageId,
        new: SessionId,
        title: Option<&str>,
    ) -> Result<Session, StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let mut fork = queries::fork_session::<Sqlite>(who, message, new, title);
        let forked: Option<SessionRow> = fork
            .build_query_as()
            .fetch_optional(&mut *transaction)
            .await?;
        let mut session = Session::from(forked.ok_or(StoreError::NotFound)?);
        let mut path = queries::path_to::<Sqlite>(who, message);
        let rows: Vec<MessageRow> = path.build_query_as().fetch_all(&mut *transaction).await?;
        let copies = queries::copied(all(rows)?, new);
        for copies in copies.chunks(queries::COPIED_AT_ONCE) {
            let mut insert = queries::insert_copies::<Sqlite>(who, copies)?;
            insert.build().execute(&mut *transaction).await?;
        }
        session.head = copies.last().map(|copy| copy.id);
        let mut set = queries::set_first_head::<Sqlite>(&session);
        set.build().execute(&mut *transaction).await?;
        let mut summary = queries::summary_of_branch::<Sqlite>(who, message);
        let summary: Option<SummaryRow> = summary
            .build_query_as()
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(copy) = queries::copied_summary(summary, &copies) {
            let mut keep = queries::keep_summary::<Sqlite>(who, &copy, session.created_at);
            keep.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(session)
    }

    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let mut delete = queries::delete_session::<Sqlite>(who, id);
        let deleted = delete.build().execute(&mut *transaction).await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        refuse_active(&mut transaction, id).await?;
        let mut drop = queries::drop_summaries::<Sqlite>(id);
        drop.build().execute(&mut *transaction).await?;
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

    async fn sessions_even_deleted(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = queries::sessions_even_deleted::<Sqlite>(who, ids);
        all::<SessionRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError> {
        let mut query = QueryBuilder::new("SELECT json_group_array(");
        query.push(SESSION_JSON).push(" ORDER BY updated_at ");
        let direction = if page.from_end { "ASC" } else { "DESC" };
        query.push(direction).push(", id ").push(direction);
        query.push(") FROM (");
        queries::push_sessions(&mut query, who, filter, page);
        query.push(")");
        let rows: Json<Vec<SessionRow>> = query.build_query_scalar().fetch_one(&self.reads).await?;
        Ok(Page::from_rows(page, all(rows.0)?))
    }
}
