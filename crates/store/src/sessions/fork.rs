//! Statements of forks.

use sqlx::QueryBuilder;

use crate::StoreError;
use crate::messages::rows::{MESSAGE_COLUMNS, encode_parts};
use crate::sessions::rows::session_columns;
use crate::summaries::rows::SummaryRow;
use talkgraph_domain::time::now;
use talkgraph_domain::{Message, MessageId, Principal, Session, SessionId, Summary};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_owner};

/// The number of messages that one statement copies: 11 values each, and a statement may have
/// 32,766.
pub(crate) const COPIED_AT_ONCE: usize = 500;

/// Inserts a copy of a message's session, with the length of the branch up to the message and
/// without a head. Returns it, or nothing if the tree has no such message.
pub(crate) fn fork_session<DB: Dialect>(
    who: &Principal,
    message: MessageId,
    new: SessionId,
    title: Option<&str>,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO sessions (id, tenant, owner, agent_id, title, metadata, branch_length, \
         created_at, updated_at) SELECT ",
    );
    DB::bind(&mut query, Value::Id(new.uuid()));
    push(
        &mut query,
        ", s.tenant, s.owner, s.agent_id, coalesce(",
        Value::MaybeText(title),
    );
    query.push(", s.title), s.metadata, m.position + 1");
    let at = now();
    push(&mut query, ", ", Value::Time(at));
    push(&mut query, ", ", Value::Time(at));
    push(
        &mut query,
        " FROM messages m JOIN sessions s ON s.id = m.session_id \
         WHERE s.deleted_at IS NULL AND m.position >= 0 AND m.id = ",
        Value::Id(message.uuid()),
    );
    push_owner(&mut query, "m.", who);
    // Its files are not removed while they are copied.
    query.push(DB::SHARE_SESSION);
    query.push(" RETURNING ").push(session_columns::<DB>());
    query
}

/// The messages of a branch up to this one.
pub(crate) fn path_to<DB: Dialect>(who: &Principal, message: MessageId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "WITH RECURSIVE path (id, parent_id) AS (
           SELECT m.id, m.parent_id FROM messages m WHERE m.id = ",
    );
    DB::bind(&mut query, Value::Id(message.uuid()));
    query.push(
        " UNION ALL SELECT m.id, m.parent_id FROM path p JOIN messages m ON m.id = p.parent_id
         ) SELECT ",
    );
    query.push(MESSAGE_COLUMNS);
    query.push(" FROM path p JOIN messages m ON m.id = p.id WHERE 1 = 1");
    push_owner(&mut query, "m.", who);
    query.push(" ORDER BY m.position");
    query
}

/// The same messages, in the same order, as messages of another session.
pub(crate) fn copied(path: Vec<Message>, session: SessionId) -> Vec<Message> {
    let mut parent = None;
    path.into_iter()
        .map(|message| {
            let copy = Message {
                id: MessageId::new(),
                session_id: session,
                parent_id: parent,
                ..message
            };
            parent = Some(copy.id);
            copy
        })
        .collect()
}

/// The summary of a message as that of its copy.
pub(crate) fn copied_summary(summary: Option<SummaryRow>, copies: &[Message]) -> Option<Summary> {
    let summary = Summary::from(summary?);
    let copy = copies
        .iter()
        .find(|copy| copy.position == summary.position)?;
    Some(Summary {
        session_id: copy.session_id,
        message_id: copy.id,
        ..summary
    })
}

pub(crate) fn insert_copies<DB: Dialect>(
    who: &Principal,
    messages: &[Message],
) -> Result<QueryBuilder<DB>, StoreError> {
    let mut query = QueryBuilder::new(
        "INSERT INTO messages (id, tenant, owner, session_id, parent_id, position, role, run_id, \
         parts, finish_reason, created_at) VALUES ",
    );
    for (message, word) in messages
        .iter()
        .zip(std::iter::once("(").chain(std::iter::repeat(", (")))
    {
        let parts = encode_parts(&message.parts)?;
        push(&mut query, word, Value::Id(message.id.uuid()));
        push(&mut query, ", ", Value::Text(&who.tenant));
        push(&mut query, ", ", Value::Text(&who.owner));
        push(&mut query, ", ", Value::Id(message.session_id.uuid()));
        let parent = message.parent_id.map(|parent| parent.uuid());
        push(&mut query, ", ", Value::MaybeId(parent));
        push(&mut query, ", ", Value::Number(message.position.into()));
        push(&mut query, ", ", Value::Text(message.role.into()));
        push(&mut query, ", ", Value::Id(message.run_id.uuid()));
        push(&mut query, ", ", Value::JsonText(&parts));
        let reason = message.finish_reason.map(<&str>::from);
        push(&mut query, ", ", Value::MaybeText(reason));
        push(&mut query, ", ", Value::Time(message.created_at));
        query.push(")");
    }
    Ok(query)
}

pub(crate) fn set_first_head<DB: Dialect>(session: &Session) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("UPDATE sessions SET head_message_id = ");
    let head = session.head.map(|head| head.uuid());
    DB::bind(&mut query, Value::MaybeId(head));
    push(&mut query, " WHERE id = ", Value::Id(session.id.uuid()));
    query
}
