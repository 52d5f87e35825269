use sqlx::QueryBuilder;

use crate::domain::{MessageId, Principal};
use crate::store::rows::MESSAGE_COLUMNS;

use super::{Dialect, push_in, push_owner};

pub(crate) fn messages_by_id<DB: Dialect>(who: &Principal, ids: &[MessageId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(MESSAGE_COLUMNS);
    query.push(" FROM messages m JOIN sessions s ON s.id = m.session_id");
    query.push(" WHERE s.deleted_at IS NULL");
    push_owner(&mut query, "m.", who);
    push_in(&mut query, " AND m.id ", ids.iter().map(MessageId::uuid));
    query
}

/// Ends the statement of `MessageStore::branches` that began with the table
/// `wanted (branch, head, low, high)`.
pub(crate) fn push_branches<DB: Dialect>(query: &mut QueryBuilder<DB>, who: &Principal) {
    // From each head up to the first position wanted; only ids go through the recursion.
    query.push(
        ", walk (branch, id, parent_id, position, low, high) AS (
           SELECT w.branch, m.id, m.parent_id, m.position, w.low, w.high
           FROM wanted w JOIN messages m ON m.id = w.head JOIN sessions s ON s.id = m.session_id
           WHERE s.deleted_at IS NULL AND m.position >= w.low",
    );
    push_owner(query, "m.", who);
    query.push(
        " UNION ALL
           SELECT w.branch, m.id, m.parent_id, m.position, w.low, w.high
           FROM walk w JOIN messages m ON m.id = w.parent_id WHERE w.position > w.low
         ) SELECT w.branch, ",
    );
    query.push(MESSAGE_COLUMNS);
    query.push(" FROM walk w JOIN messages m ON m.id = w.id WHERE w.position < w.high");
    push_owner(query, "m.", who);
    query.push(" ORDER BY w.branch, w.position");
}
