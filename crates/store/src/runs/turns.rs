//! Statements of a session's queue.

use sqlx::QueryBuilder;

use crate::TurnRequest;
use crate::sessions::rows::LockedSession;
use talkgraph_domain::{NodeId, RunId, SessionId};

use crate::dialect::{Dialect, Value};
use crate::sql::push;

/// The first enqueued run of a session, unless a run is active.
pub(crate) fn next_turn<DB: Dialect>(session: SessionId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "SELECT id FROM runs WHERE status = 'QUEUED' AND enqueued AND session_id = ",
    );
    let session = session.uuid();
    DB::bind(&mut query, Value::Id(session));
    push(
        &mut query,
        " AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.session_id = ",
        Value::Id(session),
    );
    query.push(
        " AND a.status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT a.enqueued) \
         ORDER BY id LIMIT 1",
    );
    query
}

/// Starts an enqueued run that this node holds. Returns its id.
pub(crate) fn give_turn<DB: Dialect>(
    run: RunId,
    node: NodeId,
    locked: &LockedSession,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE runs SET enqueued = false, turn = ");
    DB::bind(&mut query, Value::Number((locked.session.turns + 1).into()));
    let head = locked.session.head.map(|head| head.uuid());
    push(&mut query, ", before_message_id = ", Value::MaybeId(head));
    let length = locked.session.branch_length.into();
    push(&mut query, ", before_length = ", Value::Number(length));
    let agent = locked.session.agent_id.uuid();
    push(&mut query, ", before_agent_id = ", Value::Id(agent));
    push(&mut query, " WHERE id = ", Value::Id(run.uuid()));
    push(&mut query, " AND node_id = ", Value::Id(node.uuid()));
    query.push(" AND status = 'QUEUED' AND enqueued RETURNING id");
    query
}

/// Places a run's message at the end of its session's branch.
pub(crate) fn place_message<DB: Dialect>(
    turn: &TurnRequest,
    locked: &LockedSession,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE messages SET parent_id = ");
    let head = locked.session.head.map(|head| head.uuid());
    DB::bind(&mut query, Value::MaybeId(head));
    let position = locked.session.branch_length.into();
    push(&mut query, ", position = ", Value::Number(position));
    push(&mut query, " WHERE id = ", Value::Id(turn.message.uuid()));
    query
}

pub(crate) fn is_enqueued<DB: Dialect>(run: RunId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT enqueued FROM runs WHERE id = ");
    DB::bind(&mut query, Value::Id(run.uuid()));
    query
}
