//! Ranges of branches.

use sqlx::{QueryBuilder, SqlitePool};

use crate::messages;
use crate::messages::rows::sorted_branches;
use crate::sql::push_owner;
use crate::{BranchRange, StoreError, UNCOUNTED, wanted};
use talkgraph_domain::{Message, Principal};

/// A message as JSON, an array of [`crate::messages::rows::MESSAGE_COLUMNS`]; its parts are JSON
/// already. A row comes from the connection's thread by itself, with a change of threads there and
/// back, and each of its columns is copied twice; for a page of messages that costs more than
/// finding them.
const MESSAGE_JSON: &str = "concat('[\"', hex(m.id), '\",\"', hex(m.session_id), \
    CASE WHEN m.parent_id IS NULL THEN '\",null,' ELSE concat('\",\"', hex(m.parent_id), '\",') END, \
    m.position, ',\"', m.role, '\",\"', hex(m.run_id), '\",', m.parts, \
    CASE WHEN m.finish_reason IS NULL THEN ',null,' ELSE concat(',\"', m.finish_reason, '\",') END, \
    m.created_at, ']')";

/// The wanted ranges that have one message at each of their positions, and so are found by
/// position, without the walk from message to message. Counting costs an index alone.
const STRAIGHT: &str = ", straight (branch, session, low, high) AS MATERIALIZED (
       SELECT w.branch, w.session, w.low, w.high
       FROM wanted w CROSS JOIN messages m ON m.id = w.head
         CROSS JOIN sessions s ON s.id = m.session_id
       WHERE s.deleted_at IS NULL AND m.session_id = w.session AND m.position >= w.high - 1
         AND w.high - w.low = (SELECT count(*) FROM messages c
           WHERE c.session_id = w.session AND c.position >= w.low AND c.position < w.high)";

/// The bytes of all parts wanted. They are in the headers of the rows, so no text is read.
const BYTES: &str = "(SELECT coalesce(sum(octet_length(m.parts)), 0) FROM straight t
       CROSS JOIN messages m ON m.session_id = t.session
         AND m.position >= t.low AND m.position < t.high)
     + (SELECT coalesce(sum(octet_length(m.parts)), 0) FROM walk w
       CROSS JOIN messages m ON m.id = w.id WHERE w.position < w.high)";

/// Reads ranges of branches: all their messages as one value, in any order.
pub(super) async fn read_branches(
    pool: &SqlitePool,
    who: &Principal,
    ranges: &[BranchRange],
    most: u64,
) -> Result<Vec<Vec<Message>>, StoreError> {
    let mut query =
        QueryBuilder::new("WITH RECURSIVE wanted (branch, session, head, low, high) AS (");
    query.push_values(ranges.iter().enumerate(), |mut row, (index, range)| {
        row.push_bind(i64::try_from(index).unwrap_or(i64::MAX))
            .push_bind(range.session.uuid())
            .push_bind(range.head.uuid())
            .push_bind(range.from)
            .push_bind(range.to);
    });
    query.push(")").push(STRAIGHT);
    push_owner(&mut query, "m.", who);
    query.push(")");
    let not_straight = " AND w.branch NOT IN (SELECT branch FROM straight)";
    messages::sql::push_walk(&mut query, who, not_straight);
    // CROSS JOIN, because SQLite would otherwise guess which side is small.
    let is_counted = wanted(ranges) > UNCOUNTED;
    if is_counted {
        query.push(" SELECT CASE WHEN ").push(BYTES).push(" > ");
        query.push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        query.push(" THEN NULL ELSE (");
    }
    query.push(" SELECT concat('[', group_concat(concat('[', branch, ',', message, ']')), ']') ");
    query.push("FROM (SELECT t.branch, ").push(MESSAGE_JSON);
    query.push(
        " AS message FROM straight t CROSS JOIN messages m ON m.session_id = t.session
            AND m.position >= t.low AND m.position < t.high
          UNION ALL SELECT w.branch, ",
    );
    query.push(MESSAGE_JSON);
    query.push(" FROM walk w CROSS JOIN messages m ON m.id = w.id WHERE w.position < w.high");
    push_owner(&mut query, "m.", who);
    query.push(if is_counted { ")) END" } else { ")" });
    let read: Option<String> = query.build_query_scalar().fetch_one(pool).await?;
    match read {
        None if is_counted => Err(StoreError::TooLarge(most)),
        read => sorted_branches(read.as_deref(), ranges.len()),
    }
}
