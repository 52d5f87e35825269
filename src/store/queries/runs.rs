use sqlx::QueryBuilder;

use crate::domain::{Principal, RunId, SessionId};
use crate::store::rows::RUN_COLUMNS;

use super::{Dialect, Value, push, push_in, push_owner};

fn select_runs<DB: Dialect>(who: &Principal) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(RUN_COLUMNS);
    query.push(" FROM runs r JOIN sessions s ON s.id = r.session_id WHERE s.deleted_at IS NULL");
    push_owner(&mut query, "r.", who);
    query
}

pub(crate) fn runs_by_id<DB: Dialect>(who: &Principal, ids: &[RunId]) -> QueryBuilder<DB> {
    let mut query = select_runs(who);
    push_in(&mut query, " AND r.id ", ids.iter().map(RunId::uuid));
    query
}

pub(crate) fn active_runs<DB: Dialect>(
    who: &Principal,
    sessions: &[SessionId],
) -> QueryBuilder<DB> {
    let mut query = select_runs(who);
    push_in(
        &mut query,
        " AND r.status IN ('QUEUED', 'RUNNING') AND r.session_id ",
        sessions.iter().map(SessionId::uuid),
    );
    query
}

/// `(session, run)` of the active runs of these sessions, whoever's they are.
pub(crate) fn active_run_ids<DB: Dialect>(sessions: &[SessionId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT session_id, id FROM runs WHERE status IN ('QUEUED', 'RUNNING') AND session_id ",
    );
    DB::bind_in(&mut query, sessions.iter().map(SessionId::uuid));
    query
}

/// The log rows with the `limit` events after `after`, or with all that there are.
pub(crate) fn events<DB: Dialect>(
    who: &Principal,
    run: RunId,
    after: u64,
    limit: u32,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT e.first_sequence, e.events FROM run_events e JOIN runs r ON r.id = e.run_id \
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
