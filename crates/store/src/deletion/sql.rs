//! Statements of deletion.

use sqlx::QueryBuilder;

use crate::deletion::{DIGEST_LENGTH, DIGEST_PREFIX};
use crate::messages::rows::MESSAGE_COLUMNS;
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{FileId, Message, MessageId, Role, SessionId};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_limit};

/// The node of runs that were ended by the deletion of their session: no server has this id.
const NO_NODE: uuid::Uuid = uuid::Uuid::nil();

pub(crate) fn sessions_to_purge<DB: Dialect>(limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT id FROM sessions WHERE deleted_at IS NOT NULL AND purged_at IS NULL \
         ORDER BY deleted_at",
    );
    push_limit(&mut query, limit.into());
    query
}

/// Ends the active runs of sessions that were just deleted with another, and removes them from
/// their nodes, which can write nothing more to them.
pub(crate) fn end_runs_of_deleted<DB: Dialect>(
    sessions: &[SessionId],
    at: Timestamp,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET status = 'CANCELLED', finished_at = ");
    DB::bind(&mut query, Value::Time(at));
    push(&mut query, ", node_id = ", Value::Id(NO_NODE));
    push_in(
        &mut query,
        " WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND session_id ",
        sessions.iter().map(SessionId::uuid),
    );
    query
}

/// A deleted session that is not purged; none while another node removes it.
pub(crate) fn lock_tombstone<DB: Dialect>(session: SessionId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT id FROM sessions WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND id = ",
    );
    DB::bind(&mut query, Value::Id(session.uuid()));
    query.push(DB::LOCK_ROWS).push(DB::SKIP_LOCKED);
    query
}

/// Appends the subquery of a session's runs.
fn push_runs<DB: Dialect>(query: &mut QueryBuilder<DB>, session: SessionId) {
    push(
        query,
        " (SELECT id FROM runs WHERE session_id = ",
        Value::Id(session.uuid()),
    );
    query.push(")");
}

pub(crate) fn purge_interrupts<DB: Dialect>(session: SessionId, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "DELETE FROM interrupts WHERE id IN (SELECT id FROM interrupts WHERE session_id = ",
    );
    DB::bind(&mut query, Value::Id(session.uuid()));
    push_limit(&mut query, limit.into());
    query.push(")");
    query
}

pub(crate) fn purge_events<DB: Dialect>(session: SessionId, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "DELETE FROM run_events WHERE (run_id, first_sequence) IN ( \
         SELECT e.run_id, e.first_sequence FROM run_events e WHERE e.run_id IN",
    );
    push_runs(&mut query, session);
    push_limit(&mut query, limit.into());
    query.push(")");
    query
}

/// The condition that a message `m` of this role may have files.
fn may_have_files<DB: Dialect>(role: Role) -> &'static str {
    match role {
        Role::User => "m.role = 'USER'",
        Role::Assistant => DB::HAS_RESULT_FILES,
    }
}

/// Messages that may have files, with all their columns.
pub(crate) fn messages_with_files<DB: Dialect>(
    session: SessionId,
    role: Role,
    limit: u32,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(MESSAGE_COLUMNS).push(" FROM messages m WHERE ");
    query.push(may_have_files::<DB>(role));
    push(
        &mut query,
        " AND m.session_id = ",
        Value::Id(session.uuid()),
    );
    push_limit(&mut query, limit.into());
    query
}

/// Copies of a message in sessions that are not deleted: those of its forks.
pub(crate) fn copies_elsewhere<DB: Dialect>(message: &Message) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(MESSAGE_COLUMNS);
    query.push(
        " FROM messages m JOIN sessions s ON s.id = m.session_id \
         WHERE s.deleted_at IS NULL AND ",
    );
    query.push(may_have_files::<DB>(message.role));
    push(
        &mut query,
        " AND m.run_id = ",
        Value::Id(message.run_id.uuid()),
    );
    // One is enough.
    push_limit(&mut query, 1);
    query
}

pub(crate) fn purge_files<DB: Dialect>(ids: &[FileId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM files WHERE id ");
    DB::bind_in(&mut query, ids.iter().map(FileId::uuid));
    query
}

/// Removes files of results that no message of another session shows: those whose results never
/// came into a message. The session's own messages are gone.
pub(crate) fn purge_result_files<DB: Dialect>(session: SessionId, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "DELETE FROM files WHERE id IN (SELECT f.id FROM files f WHERE f.run_id IS NOT NULL \
         AND f.run_id IN",
    );
    push_runs(&mut query, session);
    query
        .push(" AND NOT EXISTS (SELECT 1 FROM messages m JOIN sessions s ON s.id = m.session_id ")
        .push("WHERE s.deleted_at IS NULL AND ")
        .push(DB::HAS_RESULT_FILES)
        .push(" AND m.run_id = f.run_id)");
    push_limit(&mut query, limit.into());
    query.push(")");
    query
}

pub(crate) fn purge_messages<DB: Dialect>(
    ids: impl Iterator<Item = MessageId>,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM messages WHERE id ");
    DB::bind_in(&mut query, ids.map(|id| id.uuid()));
    query
}

pub(crate) fn purge_answers<DB: Dialect>(session: SessionId, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE role = 'ASSISTANT' \
         AND session_id = ",
    );
    DB::bind(&mut query, Value::Id(session.uuid()));
    push_limit(&mut query, limit.into());
    query.push(")");
    query
}

/// `(tenant, owner, key)` of the keys of a session's runs that are not digests yet.
pub(crate) fn named_keys<DB: Dialect>(session: SessionId, limit: u32) -> QueryBuilder<DB> {
    let mut query =
        QueryBuilder::new("SELECT tenant, owner, key FROM idempotency_keys WHERE run_id IN");
    push_runs(&mut query, session);
    let length = i64::from(DIGEST_LENGTH);
    push(
        &mut query,
        " AND NOT (length(key) = ",
        Value::Number(length),
    );
    query
        .push(" AND key LIKE '")
        .push(DIGEST_PREFIX)
        .push("%')");
    push_limit(&mut query, limit.into());
    query
}

pub(crate) fn forget_key<DB: Dialect>(
    (tenant, owner): (&str, &str),
    key: &str,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM idempotency_keys WHERE tenant = ");
    DB::bind(&mut query, Value::Text(tenant));
    push(&mut query, " AND owner = ", Value::Text(owner));
    push(&mut query, " AND key = ", Value::Text(key));
    query
}

pub(crate) fn rename_key<DB: Dialect>(
    (tenant, owner): (&str, &str),
    key: &str,
    digest: &str,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE idempotency_keys SET key = ");
    DB::bind(&mut query, Value::Text(digest));
    push(&mut query, " WHERE tenant = ", Value::Text(tenant));
    push(&mut query, " AND owner = ", Value::Text(owner));
    push(&mut query, " AND key = ", Value::Text(key));
    query
}

/// Removes ended runs that no other run or session names.
pub(crate) fn purge_runs<DB: Dialect>(session: SessionId, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "DELETE FROM runs WHERE id IN (SELECT r.id FROM runs r WHERE r.finished_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM runs c WHERE c.parent_run_id = r.id) \
         AND NOT EXISTS (SELECT 1 FROM sessions c WHERE c.parent_run_id = r.id) \
         AND r.session_id = ",
    );
    DB::bind(&mut query, Value::Id(session.uuid()));
    push_limit(&mut query, limit.into());
    query.push(")");
    query
}

pub(crate) fn any_run<DB: Dialect>(session: SessionId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT id FROM runs WHERE session_id = ");
    DB::bind(&mut query, Value::Id(session.uuid()));
    push_limit(&mut query, 1);
    query
}

/// Marks that nothing is left of a session. Those that an earlier release has deleted lose their
/// title and metadata here.
pub(crate) fn mark_purged<DB: Dialect>(session: SessionId, at: Timestamp) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE sessions SET purged_at = ");
    DB::bind(&mut query, Value::Time(at));
    query.push(CONTENT_FREE);
    // A child names its parent's run, which can be removed then.
    query.push(", parent_run_id = NULL WHERE id = ");
    DB::bind(&mut query, Value::Id(session.uuid()));
    query
}

/// Assignments that remove a session's content.
pub(crate) const CONTENT_FREE: &str =
    ", title = NULL, metadata = '{}', head_message_id = NULL, branch_length = 0";

pub(crate) fn forget_tombstones<DB: Dialect>(before: Timestamp, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE deleted_at IS NOT NULL \
         AND deleted_at < ",
    );
    DB::bind(&mut query, Value::Time(before));
    push(&mut query, " AND purged_at < ", Value::Time(before));
    push_limit(&mut query, limit.into());
    query.push(")");
    query
}
