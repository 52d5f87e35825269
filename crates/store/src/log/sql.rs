//! The statements of the event log.

use chrono::TimeDelta;
use sqlx::QueryBuilder;

use crate::dialect::{Dialect, Value};
use crate::runs::rows::run_columns;
use crate::sql::{push, push_limit, push_owner};
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{Principal, RunId};

/// Runs of any owner that ended before the time `before` from now and have their complete log.
pub(crate) fn runs_to_compact<DB: Dialect>(before: TimeDelta, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(run_columns::<DB>());
    query.push(" FROM runs r WHERE r.log_compacted_at IS NULL");
    push(&mut query, " AND r.finished_at < ", Value::FromNow(before));
    query.push(" ORDER BY r.finished_at");
    push_limit(&mut query, limit.into());
    query
}

/// The log rows with the `limit` events after `after`, or with all remaining ones.
pub(crate) fn events<DB: Dialect>(
    who: &Principal,
    run: RunId,
    after: u64,
    limit: u32,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT e.first_sequence, e.last_sequence, e.events FROM run_events e JOIN runs r ON r.id = e.run_id \
         JOIN sessions s ON s.id = r.session_id WHERE s.deleted_at IS NULL",
    );
    let next = after.saturating_add(1);
    let past = next.saturating_add(limit.into());
    let run = run.uuid();
    push_owner(&mut query, "e.", who);
    push(&mut query, " AND e.run_id = ", Value::Id(run));
    // Both ends are bounds of the primary key: the first row is found without passing those
    // before it, and since a log has no holes, none is read that begins after the last one.
    push(
        &mut query,
        " AND e.first_sequence >= coalesce((SELECT b.first_sequence FROM run_events b \
         WHERE b.run_id = ",
        Value::Id(run),
    );
    push(
        &mut query,
        " AND b.first_sequence <= ",
        Value::Number(next.cast_signed()),
    );
    push(
        &mut query,
        " ORDER BY b.first_sequence DESC LIMIT 1), 0) AND e.first_sequence < ",
        Value::Number(past.cast_signed()),
    );
    query.push(" ORDER BY e.first_sequence");
    query
}

pub(crate) fn mark_compacted<DB: Dialect>(run: RunId, at: Timestamp) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET log_compacted_at = ");
    DB::bind(&mut query, Value::Time(at));
    let run = run.uuid();
    push(
        &mut query,
        " WHERE log_compacted_at IS NULL AND id = ",
        Value::Id(run),
    );
    query
}

pub(crate) fn delete_log<DB: Dialect>(run: RunId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM run_events WHERE run_id = ");
    DB::bind(&mut query, Value::Id(run.uuid()));
    query
}

pub(crate) fn insert_log_row<DB: Dialect>(
    who: &Principal,
    run: RunId,
    (first, last): (u64, u64),
    events: &str,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, owner, events) \
         VALUES (",
    );
    DB::bind(&mut query, Value::Id(run.uuid()));
    push(&mut query, ", ", Value::Number(first.cast_signed()));
    push(&mut query, ", ", Value::Number(last.cast_signed()));
    push(&mut query, ", ", Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::JsonText(events));
    query.push(")");
    query
}
