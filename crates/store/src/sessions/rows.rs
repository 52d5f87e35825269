//! Rows of sessions.

use serde::Deserialize;
use sqlx::types::{Json, Uuid};
use sqlx_macros::FromRow;

use crate::dialect::Dialect;
use talkgraph_domain::{ActiveRun, Principal, Session};

use crate::rows::Stamp;

/// Columns of [`SessionRow`], from `sessions` by its own name. The active run is consistent with
/// the rest, because the same statement reads it.
pub(crate) fn session_columns<DB: Dialect>() -> String {
    let last_sequence = DB::LAST_SEQUENCE;
    format!(
        "{COLUMNS}, (SELECT r.id {ACTIVE_RUN}) AS active_run_id, \
         (SELECT {last_sequence} {ACTIVE_RUN}) AS active_last_sequence"
    )
}

const COLUMNS: &str = "id, agent_id, parent_run_id, title, metadata, head_message_id, \
    branch_length, enqueued_runs, turns, created_at, updated_at, deleted_at";

const ACTIVE_RUN: &str = "FROM runs r WHERE r.session_id = sessions.id \
    AND r.status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT r.enqueued";

/// Columns of [`LockedSessionRow`].
pub(crate) const LOCKED_SESSION_COLUMNS: &str = "id, tenant, owner, agent_id, parent_run_id, title, metadata, \
    head_message_id, branch_length, enqueued_runs, turns, created_at, updated_at";

/// One row, or in JSON an array of [`session_columns`].
#[derive(FromRow, Deserialize)]
pub(crate) struct SessionRow {
    id: Uuid,
    agent_id: Uuid,
    parent_run_id: Option<Uuid>,
    title: Option<String>,
    metadata: Json<serde_json::Value>,
    head_message_id: Option<Uuid>,
    branch_length: i32,
    enqueued_runs: i32,
    turns: i32,
    created_at: Stamp,
    updated_at: Stamp,
    deleted_at: Option<Stamp>,
    active_run_id: Option<Uuid>,
    active_last_sequence: Option<i64>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id.into(),
            agent_id: row.agent_id.into(),
            parent_run: row.parent_run_id.map(Into::into),
            title: row.title,
            metadata: row.metadata.0,
            head: row.head_message_id.map(Into::into),
            branch_length: row.branch_length,
            active_run: row.active_run_id.map(|id| ActiveRun {
                id: id.into(),
                last_sequence: row.active_last_sequence.unwrap_or(0).cast_unsigned(),
            }),
            enqueued_runs: row.enqueued_runs,
            turns: row.turns,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            deleted_at: row.deleted_at.map(|at| at.0),
        }
    }
}

/// A session that a transaction has locked.
#[derive(FromRow)]
pub(crate) struct LockedSessionRow {
    id: Uuid,
    tenant: String,
    owner: String,
    agent_id: Uuid,
    parent_run_id: Option<Uuid>,
    title: Option<String>,
    metadata: Json<serde_json::Value>,
    head_message_id: Option<Uuid>,
    branch_length: i32,
    enqueued_runs: i32,
    turns: i32,
    created_at: Stamp,
    updated_at: Stamp,
}

/// A session that a transaction has locked, with its principal. Its active run is not read.
pub(crate) struct LockedSession {
    pub(crate) who: Principal,
    pub(crate) session: Session,
}

impl From<LockedSessionRow> for LockedSession {
    fn from(row: LockedSessionRow) -> Self {
        Self {
            who: Principal::new(&row.tenant, &row.owner, "server"),
            session: Session {
                id: row.id.into(),
                agent_id: row.agent_id.into(),
                parent_run: row.parent_run_id.map(Into::into),
                title: row.title,
                metadata: row.metadata.0,
                head: row.head_message_id.map(Into::into),
                branch_length: row.branch_length,
                active_run: None,
                enqueued_runs: row.enqueued_runs,
                turns: row.turns,
                created_at: row.created_at.0,
                updated_at: row.updated_at.0,
                deleted_at: None,
            },
        }
    }
}
