//! Statements of summaries.

use sqlx::QueryBuilder;

use crate::summaries::KEPT_SUMMARIES;
use crate::summaries::rows::SUMMARY_COLUMNS;
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{MessageId, Principal, SessionId, Summary};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_limit, push_owner};

pub(crate) fn summary_of_branch<DB: Dialect>(who: &Principal, head: MessageId) -> QueryBuilder<DB> {
    // Up to the first message that has one; a session without any is not walked.
    let mut query = QueryBuilder::new(
        "WITH RECURSIVE walk (id, parent_id) AS (
           SELECT m.id, m.parent_id FROM messages m JOIN sessions s ON s.id = m.session_id
           WHERE s.deleted_at IS NULL
             AND EXISTS (SELECT 1 FROM summaries c WHERE c.session_id = m.session_id)
             AND m.id = ",
    );
    DB::bind(&mut query, Value::Id(head.uuid()));
    push_owner(&mut query, "m.", who);
    query.push(
        " UNION ALL
           SELECT m.id, m.parent_id FROM walk w JOIN messages m ON m.id = w.parent_id
           WHERE NOT EXISTS (SELECT 1 FROM summaries c WHERE c.message_id = w.id)
         ) SELECT ",
    );
    query.push(SUMMARY_COLUMNS);
    query.push(" FROM walk w JOIN summaries c ON c.message_id = w.id WHERE 1 = 1");
    push_owner(&mut query, "c.", who);
    query
}

pub(crate) fn keep_summary<DB: Dialect>(
    who: &Principal,
    summary: &Summary,
    at: Timestamp,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO summaries (message_id, session_id, tenant, owner, position, text, \
         created_at) VALUES (",
    );
    DB::bind(&mut query, Value::Id(summary.message_id.uuid()));
    push(&mut query, ", ", Value::Id(summary.session_id.uuid()));
    push(&mut query, ", ", Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::Number(summary.position.into()));
    push(&mut query, ", ", Value::Text(&summary.text));
    push(&mut query, ", ", Value::Time(at));
    query.push(
        ") ON CONFLICT (message_id) DO UPDATE SET text = excluded.text, \
         created_at = excluded.created_at",
    );
    query
}

/// Removes all of a session's summaries but the newest.
pub(crate) fn drop_old_summaries<DB: Dialect>(session: SessionId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM summaries WHERE session_id = ");
    DB::bind(&mut query, Value::Id(session.uuid()));
    push(
        &mut query,
        " AND message_id NOT IN (SELECT message_id FROM summaries WHERE session_id = ",
        Value::Id(session.uuid()),
    );
    query.push(" ORDER BY created_at DESC, position DESC");
    push_limit(&mut query, KEPT_SUMMARIES.into());
    query.push(")");
    query
}

pub(crate) fn drop_summaries<DB: Dialect>(session: SessionId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM summaries WHERE session_id = ");
    DB::bind(&mut query, Value::Id(session.uuid()));
    query
}
