//! Statements of sessions.

use sqlx::QueryBuilder;

use crate::sessions::rows::{LOCKED_SESSION_COLUMNS, session_columns};
use crate::{SessionChange, SessionCursor, SessionFilter};
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{AgentId, MessageId, PageRequest, Principal, Session, SessionId};

use crate::deletion::sql::CONTENT_FREE;
use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_limit, push_owner};

fn select_sessions<DB: Dialect>(who: &Principal) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(session_columns::<DB>());
    query.push(" FROM sessions WHERE deleted_at IS NULL");
    push_owner(&mut query, "", who);
    query
}

pub(crate) fn sessions_by_id<DB: Dialect>(who: &Principal, ids: &[SessionId]) -> QueryBuilder<DB> {
    let mut query = select_sessions(who);
    push_in(&mut query, " AND id ", ids.iter().map(SessionId::uuid));
    query
}

pub(crate) fn sessions<DB: Dialect>(
    who: &Principal,
    filter: &SessionFilter,
    page: &PageRequest<SessionCursor>,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("");
    push_sessions(&mut query, who, filter, page);
    query
}

/// Appends the conditions and order of a page of sessions.
pub(crate) fn push_sessions<DB: Dialect>(
    query: &mut QueryBuilder<DB>,
    who: &Principal,
    filter: &SessionFilter,
    page: &PageRequest<SessionCursor>,
) {
    query.push("SELECT ").push(session_columns::<DB>());
    query.push(" FROM sessions WHERE deleted_at IS NULL AND parent_run_id IS NULL");
    push_owner(query, "", who);
    if let Some(agent) = filter.agent_id {
        push(query, " AND agent_id = ", Value::Id(agent.uuid()));
    }
    if let Some(text) = &filter.title_contains {
        // Matches the text literally, unlike LIKE with % and _. lower() changes only ASCII letters
        // in both databases.
        let text = text.to_ascii_lowercase();
        query.push(" AND ").push(DB::FIND);
        push(query, "(lower(title), ", Value::Text(&text));
        query.push(") > 0");
    }
    // Latest first: what comes after a cursor is older than it.
    push_beyond(query, page.after, "<");
    push_beyond(query, page.before, ">");
    let direction = if page.from_end { "ASC" } else { "DESC" };
    query.push(" ORDER BY updated_at ").push(direction);
    query.push(", id ").push(direction);
    push_limit(query, i64::from(page.limit) + 1);
}

fn push_beyond<DB: Dialect>(
    query: &mut QueryBuilder<DB>,
    cursor: Option<SessionCursor>,
    than: &str,
) {
    if let Some(cursor) = cursor {
        query.push(" AND (updated_at, id) ").push(than);
        push(query, " (", Value::Time(cursor.updated_at));
        push(query, ", ", Value::Id(cursor.id.uuid()));
        query.push(")");
    }
}

pub(crate) fn insert_session<DB: Dialect>(who: &Principal, session: &Session) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO sessions (branch_length, id, tenant, owner, agent_id, title, metadata, \
         created_at, updated_at) VALUES (0, ",
    );
    DB::bind(&mut query, Value::Id(session.id.uuid()));
    push(&mut query, ", ", Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::Id(session.agent_id.uuid()));
    push(&mut query, ", ", Value::MaybeText(session.title.as_deref()));
    push(&mut query, ", ", Value::Json(&session.metadata));
    push(&mut query, ", ", Value::Time(session.created_at));
    push(&mut query, ", ", Value::Time(session.updated_at));
    query.push(")");
    query
}

/// Returns the changed session, or nothing.
pub(crate) fn update_session<DB: Dialect>(
    who: &Principal,
    id: SessionId,
    change: &SessionChange,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE sessions SET updated_at = ");
    DB::bind(&mut query, Value::Time(now()));
    if let Some(title) = &change.title {
        push(&mut query, ", title = ", Value::MaybeText(title.as_deref()));
    }
    if let Some(metadata) = &change.metadata {
        push(&mut query, ", metadata = ", Value::Json(metadata));
    }
    push(
        &mut query,
        " WHERE deleted_at IS NULL AND id = ",
        Value::Id(id.uuid()),
    );
    push_owner(&mut query, "", who);
    query.push(" RETURNING ").push(session_columns::<DB>());
    query
}

/// Sets the head of a message's session to the latest message at or below it. Returns the changed
/// session, or nothing.
pub(crate) fn switch_branch<DB: Dialect>(who: &Principal, message: MessageId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "WITH RECURSIVE below (id, session_id, position, created_at) AS (
           SELECT m.id, m.session_id, m.position, m.created_at FROM messages m WHERE m.id = ",
    );
    DB::bind(&mut query, Value::Id(message.uuid()));
    push_owner(&mut query, "m.", who);
    // The position lets the index by session find the rows.
    query.push(
        " UNION ALL
           SELECT m.id, m.session_id, m.position, m.created_at
           FROM below b JOIN messages m ON m.session_id = b.session_id
             AND m.position = b.position + 1 AND m.parent_id = b.id
         ), last (head, of_session, branch_end) AS (
           SELECT id, session_id, position + 1 FROM below
           ORDER BY created_at DESC, position DESC LIMIT 1
         ) UPDATE sessions SET head_message_id = last.head, branch_length = last.branch_end, \
         updated_at = ",
    );
    DB::bind(&mut query, Value::Time(now()));
    query.push(" FROM last WHERE sessions.id = last.of_session AND deleted_at IS NULL");
    push_owner(&mut query, "", who);
    query.push(" RETURNING ").push(session_columns::<DB>());
    query
}

/// Deletes a session with the sessions of its child runs, and leaves no content in their
/// rows. Returns the ids of all of them.
pub(crate) fn delete_session<DB: Dialect>(
    who: &Principal,
    id: SessionId,
    at: Timestamp,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "WITH RECURSIVE gone (gone_id) AS (
           SELECT s.id FROM sessions s WHERE s.deleted_at IS NULL AND s.id = ",
    );
    DB::bind(&mut query, Value::Id(id.uuid()));
    push_owner(&mut query, "s.", who);
    query.push(
        " UNION ALL
           SELECT s.id FROM gone g JOIN runs r ON r.session_id = g.gone_id
             JOIN sessions s ON s.parent_run_id = r.id AND s.deleted_at IS NULL
         ) UPDATE sessions SET deleted_at = ",
    );
    DB::bind(&mut query, Value::Time(at));
    query.push(CONTENT_FREE);
    query.push(" WHERE id IN (SELECT gone_id FROM gone) RETURNING id");
    query
}

/// Sessions that are not deleted, with their principals, in the order of their ids.
pub(crate) fn locked_sessions<DB: Dialect>(ids: &[SessionId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(LOCKED_SESSION_COLUMNS);
    query.push(" FROM sessions WHERE deleted_at IS NULL AND id ");
    DB::bind_in(&mut query, ids.iter().map(SessionId::uuid));
    // They are locked in their order.
    query.push(" ORDER BY id").push(DB::LOCK_ROWS);
    query
}

/// Changes the number of a session's enqueued runs.
pub(crate) fn add_enqueued<DB: Dialect>(
    session: SessionId,
    more: i32,
    title: Option<&str>,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE sessions SET enqueued_runs = enqueued_runs + ");
    DB::bind(&mut query, Value::Number(more.into()));
    push(&mut query, ", updated_at = ", Value::Time(now()));
    push(
        &mut query,
        ", title = coalesce(title, ",
        Value::MaybeText(title),
    );
    push(&mut query, ") WHERE id = ", Value::Id(session.uuid()));
    query
}

/// Sets a session's agent.
pub(crate) fn set_session_agent<DB: Dialect>(
    session: SessionId,
    agent: AgentId,
    at: Timestamp,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE sessions SET agent_id = ");
    DB::bind(&mut query, Value::Id(agent.uuid()));
    push(&mut query, ", updated_at = ", Value::Time(at));
    push(&mut query, " WHERE id = ", Value::Id(session.uuid()));
    query
}

/// Sessions with these ids, deleted ones included.
pub(crate) fn sessions_even_deleted<DB: Dialect>(
    who: &Principal,
    ids: &[SessionId],
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(session_columns::<DB>());
    push_in(
        &mut query,
        " FROM sessions WHERE id ",
        ids.iter().map(SessionId::uuid),
    );
    push_owner(&mut query, "", who);
    query
}
