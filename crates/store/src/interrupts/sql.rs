//! Statements of interrupts.

use chrono::TimeDelta;
use sqlx::QueryBuilder;

use crate::StoreError;
use crate::interrupts::rows::{INTERRUPT_COLUMNS, encode_resolution};
use talkgraph_domain::{Interrupt, InterruptId, NodeId, PageRequest, Principal, Run, RunId};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_in, push_limit, push_owner};

fn select_interrupts<DB: Dialect>(who: &Principal) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(INTERRUPT_COLUMNS);
    query.push(
        " FROM interrupts i JOIN sessions s ON s.id = i.session_id WHERE s.deleted_at IS NULL",
    );
    push_owner(&mut query, "i.", who);
    query
}

pub(crate) fn interrupts_by_id<DB: Dialect>(
    who: &Principal,
    ids: &[InterruptId],
) -> QueryBuilder<DB> {
    let mut query = select_interrupts(who);
    push_in(&mut query, " AND i.id ", ids.iter().map(InterruptId::uuid));
    query
}

/// The open interrupts of these runs, oldest first.
pub(crate) fn open_interrupts_of<DB: Dialect>(who: &Principal, runs: &[RunId]) -> QueryBuilder<DB> {
    let mut query = select_interrupts(who);
    push_in(
        &mut query,
        " AND i.resolution IS NULL AND i.run_id ",
        runs.iter().map(RunId::uuid),
    );
    query.push(" ORDER BY i.id");
    query
}

pub(crate) fn open_interrupts<DB: Dialect>(
    who: &Principal,
    page: &PageRequest<InterruptId>,
) -> QueryBuilder<DB> {
    let mut query = select_interrupts(who);
    query.push(" AND i.resolution IS NULL");
    if let Some(after) = page.after {
        push(&mut query, " AND i.id > ", Value::Id(after.uuid()));
    }
    if let Some(before) = page.before {
        push(&mut query, " AND i.id < ", Value::Id(before.uuid()));
    }
    let direction = if page.from_end { "DESC" } else { "ASC" };
    query.push(" ORDER BY i.id ").push(direction);
    push_limit(&mut query, i64::from(page.limit) + 1);
    query
}

/// Open interrupts of any owner that have expired at the time `at` from now.
pub(crate) fn expired_interrupts<DB: Dialect>(at: TimeDelta, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(INTERRUPT_COLUMNS);
    query.push(
        " FROM interrupts i JOIN sessions s ON s.id = i.session_id WHERE s.deleted_at IS NULL",
    );
    push(
        &mut query,
        " AND i.resolution IS NULL AND i.expires_at <= ",
        Value::FromNow(at),
    );
    query.push(" ORDER BY i.expires_at");
    push_limit(&mut query, limit.into());
    query
}

pub(crate) fn count_open_interrupts<DB: Dialect>(run: RunId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT count(*) FROM interrupts WHERE resolution IS NULL AND asks IS NULL AND run_id = ",
    );
    DB::bind(&mut query, Value::Id(run.uuid()));
    query
}

/// Selects a count of 1 if the run is running and the node holds it, else 0.
pub(crate) fn count_running<DB: Dialect>(run: RunId, node: NodeId) -> QueryBuilder<DB> {
    let mut query =
        QueryBuilder::new("SELECT count(*) FROM runs WHERE status = 'RUNNING' AND id = ");
    DB::bind(&mut query, Value::Id(run.uuid()));
    push(&mut query, " AND node_id = ", Value::Id(node.uuid()));
    query
}

/// Assigns a run that waits for answers to the node.
pub(crate) fn claim_awaiting_run<DB: Dialect>(
    who: &Principal,
    run: RunId,
    node: NodeId,
    lease: Option<TimeDelta>,
) -> QueryBuilder<DB> {
    // A waiting run is not the cause of an earlier unclean end.
    let mut query = QueryBuilder::new(
        "UPDATE runs SET fence = fence + 1, unclean_ends = 0, is_held = false, \
         alone_since = NULL, node_id = ",
    );
    DB::bind(&mut query, Value::Id(node.uuid()));
    if let Some(lease) = lease {
        push(&mut query, ", lease_expires_at = ", Value::FromNow(lease));
    }
    push(&mut query, " WHERE id = ", Value::Id(run.uuid()));
    query.push(" AND status = 'AWAITING_INPUT'");
    push_owner(&mut query, "", who);
    query
}

/// Writes the answer of an interrupt.
pub(crate) fn resolve_interrupt<DB: Dialect>(
    interrupt: &Interrupt,
) -> Result<QueryBuilder<DB>, StoreError> {
    let resolution = encode_resolution(interrupt)?;
    let mut query = QueryBuilder::new("UPDATE interrupts SET resolution = ");
    DB::bind(&mut query, Value::JsonText(&resolution));
    push(
        &mut query,
        " WHERE resolution IS NULL AND id = ",
        Value::Id(interrupt.id.uuid()),
    );
    Ok(query)
}

/// Writes a run's status alone.
pub(crate) fn set_status<DB: Dialect>(run: &Run) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET status = ");
    DB::bind(&mut query, Value::Text(run.status.into()));
    push(&mut query, " WHERE id = ", Value::Id(run.id.uuid()));
    query
}
