//! The columns of `runs` that the group commit writes.

use crate::commit::cells::{Cell, Row};
use crate::commit::{StoredRun, depth};
use crate::{FinishedRun, StoreError};
use talkgraph_domain::Cost;

use super::rows::encode_options;

/// The row of a new run.
pub(crate) fn started<'a>(stored: &StoredRun<'a>) -> Result<Row<'a>, StoreError> {
    let (run, who, before) = (stored.run, stored.who, &stored.before);
    Ok(vec![
        ("id", Cell::Id(Some(run.id.uuid()))),
        ("tenant", Cell::Text(Some(&who.tenant))),
        ("owner", Cell::Text(Some(&who.owner))),
        ("session_id", Cell::Id(Some(run.session_id.uuid()))),
        ("agent_id", Cell::Id(Some(run.agent_id.uuid()))),
        (
            "agent_version_id",
            Cell::Id(Some(run.agent_version_id.uuid())),
        ),
        ("model", Cell::Text(Some(&run.model))),
        ("status", Cell::Text(Some(run.status.into()))),
        ("enqueued", Cell::Flag(Some(run.enqueued))),
        ("turn", Cell::Integer(run.turn)),
        ("input_tokens", Cell::Number(Some(0))),
        ("output_tokens", Cell::Number(Some(0))),
        ("cached_input_tokens", Cell::Number(Some(0))),
        ("reasoning_tokens", Cell::Number(Some(0))),
        (
            "input_message_id",
            Cell::Id(Some(run.input_message_id.uuid())),
        ),
        (
            "output_message_id",
            Cell::Id(Some(run.output_message_id.uuid())),
        ),
        (
            "before_message_id",
            Cell::Id(before.head.map(|head| head.uuid())),
        ),
        ("before_length", Cell::Integer(Some(before.branch_length))),
        (
            "before_agent_id",
            Cell::Id(before.agent.map(|agent| agent.uuid())),
        ),
        ("node_id", Cell::Id(Some(stored.node.uuid()))),
        ("lease_expires_at", Cell::FromNow(stored.lease)),
        ("created_at", Cell::Time(Some(run.created_at))),
        ("started_at", Cell::Time(run.started_at)),
        (
            "options",
            Cell::Options(encode_options(&run.options)?.map(Box::new)),
        ),
        (
            "parent_run_id",
            Cell::Id(run.parent.map(|parent| parent.run.uuid())),
        ),
        ("depth", Cell::Integer(Some(depth(run)))),
    ])
}

/// The columns by which an ended run is found.
const KEYS: [&str; 2] = ["id", "node_id"];

/// The keys of an ended run and the columns that its end changes.
pub(crate) fn ended(finish: &FinishedRun) -> Row<'_> {
    let (run, error) = (&finish.run, finish.run.error.as_ref());
    let usage = &run.usage;
    let tokens = |count: u64| Cell::Number(Some(count.cast_signed()));
    vec![
        ("id", Cell::Id(Some(run.id.uuid()))),
        ("node_id", Cell::Id(Some(finish.node.uuid()))),
        ("status", Cell::Text(Some(run.status.into()))),
        (
            "finish_reason",
            Cell::Text(run.finish_reason.map(Into::into)),
        ),
        (
            "error_code",
            Cell::Text(error.map(|error| error.code.into())),
        ),
        (
            "error_message",
            Cell::Text(error.map(|error| error.message.as_str())),
        ),
        (
            "error_retryable",
            Cell::Flag(error.map(|error| error.retryable)),
        ),
        ("input_tokens", tokens(usage.input_tokens)),
        ("output_tokens", tokens(usage.output_tokens)),
        ("cached_input_tokens", tokens(usage.cached_input_tokens)),
        ("reasoning_tokens", tokens(usage.reasoning_tokens)),
        (
            "cache_write_input_tokens",
            tokens(usage.cache_write_input_tokens),
        ),
        (
            "cache_write_1h_input_tokens",
            tokens(usage.cache_write_1h_input_tokens),
        ),
        ("cost_nanos", Cell::Number(run.cost.map(Cost::nanos))),
        ("finished_at", Cell::Time(run.finished_at)),
        ("model", Cell::Text(Some(&run.model))),
    ]
}

/// `SET column = v.column, …` of an end, without the keys.
pub(crate) fn assignments(names: &[&str]) -> String {
    let changed = names.iter().filter(|name| !KEYS.contains(name));
    let changed: Vec<_> = changed.map(|name| format!("{name} = v.{name}")).collect();
    format!("SET {}", changed.join(", "))
}

/// The rest of an `UPDATE` with the keys and changes `v` of ends: only an active run of the node
/// that ends it.
pub(crate) const ENDS: &str = "WHERE runs.id = v.id AND runs.node_id = v.node_id \
    AND runs.status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') RETURNING runs.id";

/// The rest of an `INSERT`: a session has one active run at most.
pub(crate) const ONE_ACTIVE: &str = "ON CONFLICT (session_id) \
    WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT enqueued DO NOTHING \
    RETURNING id";
