//! Statements of runs.

use chrono::{DateTime, TimeDelta};
use sqlx::QueryBuilder;

use crate::runs::rows::{run_columns, taken_columns, usage_sums};
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{HandOff, NodeId, Principal, Run, RunId, SessionId};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_limit, push_owner};

fn select_runs<DB: Dialect>(who: &Principal) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(run_columns::<DB>());
    query.push(" FROM runs r JOIN sessions s ON s.id = r.session_id WHERE s.deleted_at IS NULL");
    push_owner(&mut query, "r.", who);
    query
}

pub(crate) fn runs_by_id<DB: Dialect>(who: &Principal, ids: &[RunId]) -> QueryBuilder<DB> {
    let mut query = select_runs(who);
    push_in(&mut query, " AND r.id ", ids.iter().map(RunId::uuid));
    query
}

/// The enqueued runs of these sessions, in the order of the queue.
pub(crate) fn enqueued_runs<DB: Dialect>(
    who: &Principal,
    sessions: &[SessionId],
) -> QueryBuilder<DB> {
    let mut query = select_runs(who);
    push_in(
        &mut query,
        " AND r.status = 'QUEUED' AND r.enqueued AND r.session_id ",
        sessions.iter().map(SessionId::uuid),
    );
    query.push(" ORDER BY r.id");
    query
}

/// The child runs of these runs, oldest first.
pub(crate) fn child_runs<DB: Dialect>(who: &Principal, parents: &[RunId]) -> QueryBuilder<DB> {
    let mut query = select_runs(who);
    let parents = parents.iter().map(RunId::uuid);
    push_in(&mut query, " AND r.parent_run_id ", parents);
    query.push(" ORDER BY r.id");
    query
}

/// The usage of these sessions' ended runs. The cost is unknown if that of one run is.
pub(crate) fn usage_of_sessions<DB: Dialect>(
    who: &Principal,
    sessions: &[SessionId],
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT session_id, ");
    query.push(usage_sums()).push(
        ", CASE WHEN count(*) = count(cost_nanos) THEN CAST(sum(cost_nanos) AS bigint) END \
         AS cost_nanos FROM runs WHERE finished_at IS NOT NULL",
    );
    push_owner(&mut query, "", who);
    push_in(
        &mut query,
        " AND session_id ",
        sessions.iter().map(SessionId::uuid),
    );
    query.push(" GROUP BY session_id");
    query
}

/// The runs of a session after `turn`, in the order of their turns.
pub(crate) fn runs_by_turn<DB: Dialect>(
    who: &Principal,
    session: SessionId,
    turn: i32,
    limit: u32,
) -> QueryBuilder<DB> {
    let mut query = select_runs(who);
    push(
        &mut query,
        " AND r.session_id = ",
        Value::Id(session.uuid()),
    );
    push(&mut query, " AND r.turn > ", Value::Number(turn.into()));
    query.push(" ORDER BY r.turn");
    push_limit(&mut query, limit.into());
    query
}

/// The running and enqueued runs of a node, of any owner.
pub(crate) fn runs_of_node<DB: Dialect>(node: NodeId, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(taken_columns::<DB>());
    query.push(" FROM runs r WHERE r.status IN ('QUEUED', 'RUNNING')");
    push(&mut query, " AND r.node_id = ", Value::Id(node.uuid()));
    push_limit(&mut query, limit.into());
    query
}

/// The changes of a take-over: the node holds the run for `lease`, and the previous holder can
/// write nothing more. A run that was being executed without its lease ended has one more unclean
/// end; it is held until it is restarted. Every right-hand side reads the old row.
pub(crate) fn push_takeover<DB: Dialect>(
    query: &mut QueryBuilder<DB>,
    node: NodeId,
    lease: TimeDelta,
) {
    let given_back = || Value::Time(DateTime::UNIX_EPOCH);
    query.push("fence = fence + 1, taken_from = node_id, node_id = ");
    DB::bind(query, Value::Id(node.uuid()));
    push(query, ", lease_expires_at = ", Value::FromNow(lease));
    push(
        query,
        ", unclean_ends = unclean_ends + CASE WHEN status = 'RUNNING' AND NOT is_held \
         AND lease_expires_at > ",
        given_back(),
    );
    push(
        query,
        " THEN 1 ELSE 0 END, is_held = (status = 'RUNNING' AND (is_held OR unclean_ends > 0 \
         OR lease_expires_at > ",
        given_back(),
    );
    push(
        query,
        ")), alone_since = CASE WHEN lease_expires_at > ",
        given_back(),
    );
    query.push(" THEN alone_since END");
}

/// Restarts a held run, `alone_since` this time if it is a suspect.
pub(crate) fn release_held<DB: Dialect>(
    run: &Run,
    node: NodeId,
    alone_since: Option<Timestamp>,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET is_held = false, alone_since = ");
    match alone_since {
        Some(at) => DB::bind(&mut query, Value::Time(at)),
        None => {
            query.push("NULL");
        }
    }
    push_held_by(&mut query, run, node);
    query
}

/// Resets the unclean ends of a run.
pub(crate) fn clear_suspicion<DB: Dialect>(run: &Run, node: NodeId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET unclean_ends = 0, alone_since = NULL");
    push_held_by(&mut query, run, node);
    query
}

/// Selects a row if a node holds a run under this fence.
pub(crate) fn held_by<DB: Dialect>(run: RunId, node: NodeId, fence: i64) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT id FROM runs");
    push(&mut query, " WHERE id = ", Value::Id(run.uuid()));
    push(&mut query, " AND node_id = ", Value::Id(node.uuid()));
    push(&mut query, " AND fence = ", Value::Number(fence));
    query
}

fn push_held_by<DB: Dialect>(query: &mut QueryBuilder<DB>, run: &Run, node: NodeId) {
    push(query, " WHERE id = ", Value::Id(run.id.uuid()));
    push(query, " AND node_id = ", Value::Id(node.uuid()));
    push(query, " AND fence = ", Value::Number(run.fence));
}

/// `(session, run)` of the active and enqueued runs of these sessions, of any owner; of each
/// session the active one last.
pub(crate) fn active_run_ids<DB: Dialect>(sessions: &[SessionId]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT session_id, id FROM runs \
         WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND session_id ",
    );
    DB::bind_in(&mut query, sessions.iter().map(SessionId::uuid));
    query.push(" ORDER BY NOT enqueued, id DESC");
    query
}

/// Pins a run to the agent that continues it.
pub(crate) fn hand_off_run<DB: Dialect>(run: RunId, handoff: &HandOff) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET agent_id = ");
    DB::bind(&mut query, Value::Id(handoff.to_agent_id.uuid()));
    let version = handoff.to_agent_version_id.uuid();
    push(&mut query, ", agent_version_id = ", Value::Id(version));
    push(&mut query, ", model = ", Value::Text(&handoff.model));
    push(&mut query, " WHERE id = ", Value::Id(run.uuid()));
    query
}

/// `(before_message_id, before_length, before_agent_id)` of a run.
pub(crate) fn branch_before<DB: Dialect>(run: RunId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT before_message_id, before_length, before_agent_id FROM runs WHERE id = ",
    );
    DB::bind(&mut query, Value::Id(run.uuid()));
    query
}
