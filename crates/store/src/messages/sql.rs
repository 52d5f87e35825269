//! Statements of messages.

use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::Siblings;
use crate::messages::rows::MESSAGE_COLUMNS;
use talkgraph_domain::{MessageId, Principal};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_owner};

pub(crate) fn messages_by_id<DB: Dialect>(who: &Principal, ids: &[MessageId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(MESSAGE_COLUMNS);
    query.push(" FROM messages m JOIN sessions s ON s.id = m.session_id");
    query.push(" WHERE s.deleted_at IS NULL");
    push_owner(&mut query, "m.", who);
    push_in(&mut query, " AND m.id ", ids.iter().map(MessageId::uuid));
    query
}

/// Continues the statement of `MessageStore::branches` that began with the table `wanted (branch,
/// head, low, high)`: from each head that fulfils `condition` up to the first position wanted. Only
/// ids go through the recursion.
pub(crate) fn push_walk<DB: Dialect>(
    query: &mut QueryBuilder<DB>,
    who: &Principal,
    condition: &str,
) {
    query.push(
        ", walk (branch, id, parent_id, position, low, high) AS (
           SELECT w.branch, m.id, m.parent_id, m.position, w.low, w.high
           FROM wanted w CROSS JOIN messages m CROSS JOIN sessions s
           WHERE m.id = w.head AND s.id = m.session_id
             AND s.deleted_at IS NULL AND m.position >= w.low",
    );
    query.push(condition);
    push_owner(query, "m.", who);
    query.push(
        " UNION ALL
           SELECT w.branch, m.id, m.parent_id, m.position, w.low, w.high
           FROM walk w CROSS JOIN messages m
           WHERE m.id = w.parent_id AND w.position > w.low)",
    );
}

/// `(below, relative, id)` of the latest siblings, oldest first: `below` is true if the relative is
/// their parent and false if it is one of them.
pub(crate) fn siblings<DB: Dialect>(
    who: &Principal,
    of: &[Siblings],
    limit: u32,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT k.below, k.relative, k.id FROM (");
    let (mut beside, mut below) = (Vec::new(), Vec::new());
    for one in of {
        match one {
            Siblings::Of(id) => beside.push(id.uuid()),
            Siblings::Below(id) => below.push(id.uuid()),
        }
    }
    if !beside.is_empty() {
        // Messages of enqueued runs are not in the tree, and so have no siblings.
        let same_parent = "k.position = m.position AND k.parent_id IS NOT DISTINCT FROM \
            m.parent_id AND (m.position >= 0 OR k.id = m.id)";
        push_siblings(&mut query, who, "0", same_parent, beside);
    }
    if !below.is_empty() {
        if of.len() > below.len() {
            query.push(" UNION ALL ");
        }
        let children = "k.position = m.position + 1 AND k.parent_id = m.id";
        push_siblings(&mut query, who, "1", children, below);
    }
    push(
        &mut query,
        ") k WHERE k.age <= ",
        Value::Number(limit.into()),
    );
    query.push(" ORDER BY k.below, k.relative, k.created_at, k.id");
    query
}

/// The relatives themselves come first, as if they were the latest messages. The positions let the
/// index by session find the rows.
fn push_siblings<DB: Dialect>(
    query: &mut QueryBuilder<DB>,
    who: &Principal,
    below: &str,
    condition: &str,
    relatives: Vec<Uuid>,
) {
    query.push("SELECT ").push(below);
    query.push(
        " AS below, m.id AS relative, k.id, k.created_at, ROW_NUMBER() OVER (
             PARTITION BY m.id
             ORDER BY CASE WHEN k.id = m.id THEN 0 ELSE 1 END, k.created_at DESC, k.id DESC
           ) AS age
           FROM messages m JOIN sessions s ON s.id = m.session_id
             JOIN messages k ON k.session_id = m.session_id AND ",
    );
    query.push(condition).push(" WHERE s.deleted_at IS NULL");
    push_owner(query, "m.", who);
    push_in(query, " AND m.id ", relatives.into_iter());
}
