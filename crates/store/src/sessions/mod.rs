//! Sessions.

pub(crate) mod fork;
pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;
use super::dialect::{Dialect, fetch, first};
use super::pools::Pools;
use crate::messages::rows::MessageRow;
use crate::rows::all;
use crate::sessions::rows::SessionRow;
use crate::summaries::rows::SummaryRow;
use crate::{deletion, runs, summaries};
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{
    AgentId, MessageId, Page, PageRequest, Principal, RunId, Session, SessionId,
};

/// A session to create.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The agent that answers.
    pub agent_id: AgentId,
    /// The parent run, if one agent asks another.
    pub parent_run: Option<RunId>,
    /// Its title, if it has one yet.
    pub title: Option<String>,
    /// The client's metadata, a JSON object.
    pub metadata: Value,
    /// The time of creation.
    pub created_at: Timestamp,
}

impl NewSession {
    /// The created session.
    pub(crate) fn into_session(self) -> Session {
        Session {
            id: self.id,
            agent_id: self.agent_id,
            parent_run: self.parent_run,
            title: self.title,
            metadata: self.metadata,
            head: None,
            branch_length: 0,
            active_run: None,
            enqueued_runs: 0,
            turns: 0,
            created_at: self.created_at,
            updated_at: self.created_at,
            deleted_at: None,
        }
    }
}

/// Changes of a session; `None` keeps a field.
#[derive(Debug, Clone, Default)]
pub struct SessionChange {
    /// The new title; `Some(None)` removes it.
    pub title: Option<Option<String>>,
    /// The new metadata, replacing the old.
    pub metadata: Option<Value>,
}

/// A filter of sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only sessions of this agent.
    pub agent_id: Option<AgentId>,
    /// Only sessions whose title contains this text, regardless of the case of ASCII letters.
    pub title_contains: Option<String>,
}

/// A session's place in the list of sessions: latest activity first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionCursor {
    /// Its last activity.
    pub updated_at: Timestamp,
    /// Its id, which decides between equal times.
    pub id: SessionId,
}

/// Sessions. Deleted ones are never returned.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Creates a session.
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError>;

    /// Changes a session. `NotFound` if the principal has no such session.
    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError>;

    /// Selects the branch through this message, down to the latest message below it. `NotFound` if
    /// the principal has no such message, `ActiveRun` while its session has an active run.
    async fn switch_branch(
        &self,
        who: &Principal,
        message: MessageId,
    ) -> Result<Session, StoreError>;

    /// Creates a session with a copy of the branch up to this message, in one transaction.
    /// `NotFound` if the principal has no such message, or it is not in the tree yet.
    async fn fork_session(
        &self,
        who: &Principal,
        message: MessageId,
        new: SessionId,
        title: Option<&str>,
    ) -> Result<Session, StoreError>;

    /// Deletes a session and the sessions of its child runs: they can no longer be read or used,
    /// and active child runs end. Their content is removed afterwards ([`super::DeletionStore`]).
    /// `ActiveRun` while the session itself has an active run.
    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError>;

    /// The sessions with these ids, in no particular order.
    async fn sessions_by_id(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError>;

    /// The sessions with these ids, deleted ones included.
    async fn sessions_even_deleted(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError>;

    /// Sessions, latest activity first.
    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError>;
}

#[async_trait]
impl<S: Pools> SessionStore for S {
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError> {
        let session = session.into_session();
        self.execute(sql::insert_session(who, &session)).await?;
        Ok(session)
    }

    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError> {
        let changed = self.write(sql::update_session(who, id, &change));
        the_session(changed.await?)
    }

    async fn switch_branch(
        &self,
        who: &Principal,
        message: MessageId,
    ) -> Result<Session, StoreError> {
        let changed = async {
            let mut transaction = self.begin().await?;
            let switch = sql::switch_branch::<S::Db>(who, message);
            let session = the_session(fetch(&mut *transaction, switch).await?)?;
            refuse_active::<S::Db>(&mut transaction, session.id).await?;
            transaction.commit().await?;
            Ok(session)
        };
        self.in_time(changed).await
    }

    async fn fork_session(
        &self,
        who: &Principal,
        message: MessageId,
        new: SessionId,
        title: Option<&str>,
    ) -> Result<Session, StoreError> {
        let changed = async {
            let mut transaction = self.begin().await?;
            let fork = fork::fork_session::<S::Db>(who, message, new, title);
            let mut session = the_session(fetch(&mut *transaction, fork).await?)?;
            let path = fork::path_to::<S::Db>(who, message);
            let rows: Vec<MessageRow> = fetch(&mut *transaction, path).await?;
            let copies = fork::copied(all(rows)?, new);
            for copies in copies.chunks(fork::COPIED_AT_ONCE) {
                let insert = fork::insert_copies(who, copies)?;
                S::Db::execute(&mut transaction, insert).await?;
            }
            session.head = copies.last().map(|copy| copy.id);
            let set = fork::set_first_head(&session);
            S::Db::execute(&mut transaction, set).await?;
            let summary = summaries::sql::summary_of_branch::<S::Db>(who, message);
            let summary: Option<SummaryRow> = first(&mut *transaction, summary).await?;
            if let Some(copy) = fork::copied_summary(summary, &copies) {
                let keep = summaries::sql::keep_summary(who, &copy, session.created_at);
                S::Db::execute(&mut transaction, keep).await?;
            }
            transaction.commit().await?;
            Ok(session)
        };
        self.in_time(changed).await
    }

    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError> {
        let changed = async {
            let mut transaction = self.begin().await?;
            let at = now();
            let delete = sql::delete_session::<S::Db>(who, id, at);
            let gone: Vec<(Uuid,)> = fetch(&mut *transaction, delete).await?;
            if gone.is_empty() {
                return Err(StoreError::NotFound);
            }
            refuse_active::<S::Db>(&mut transaction, id).await?;
            let gone: Vec<_> = gone.into_iter().map(|(id,)| id.into()).collect();
            let end = deletion::sql::end_runs_of_deleted(&gone, at);
            S::Db::execute(&mut transaction, end).await?;
            transaction.commit().await?;
            Ok(())
        };
        self.in_time(changed).await
    }

    async fn sessions_by_id(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError> {
        all::<SessionRow, _>(self.read(sql::sessions_by_id(who, ids)).await?)
    }

    async fn sessions_even_deleted(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError> {
        all::<SessionRow, _>(self.read(sql::sessions_even_deleted(who, ids)).await?)
    }

    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError> {
        let rows = self.read_sessions(who, filter, page).await?;
        Ok(Page::from_rows(page, all(rows)?))
    }
}

/// The one session that a statement returns.
fn the_session(rows: Vec<SessionRow>) -> Result<Session, StoreError> {
    let row = rows.into_iter().next();
    row.map(Session::from).ok_or(StoreError::NotFound)
}

/// Refuses a change of a session with an active run. The transaction has changed the session, which
/// keeps others from starting one.
async fn refuse_active<DB: Dialect>(
    connection: &mut DB::Connection,
    session: SessionId,
) -> Result<(), StoreError> {
    let active = runs::sql::active_run_ids::<DB>(&[session]);
    let active: Option<(Uuid, Uuid)> = first(connection, active).await?;
    active.map_or(Ok(()), |(_, run)| Err(StoreError::ActiveRun(run.into())))
}
