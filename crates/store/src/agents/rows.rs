//! Rows of agents.

use sqlx::types::{Json, Uuid};
use sqlx_macros::FromRow;

use crate::StoreError;
use talkgraph_domain::{Agent, AgentSpec, AgentVersion};

use crate::rows::{Stamp, known};

/// Columns of [`AgentRow`], from `agents a JOIN agent_versions v`.
pub(crate) const AGENT_COLUMNS: &str = "a.id, a.name, a.source, a.created_at, a.updated_at, \
    a.archived_at, v.id AS version_id, v.number, v.spec, v.created_at AS version_created_at";

#[derive(FromRow)]
pub(crate) struct AgentRow {
    id: Uuid,
    name: String,
    source: String,
    created_at: Stamp,
    updated_at: Stamp,
    archived_at: Option<Stamp>,
    version_id: Uuid,
    number: i32,
    spec: Json<AgentSpec>,
    version_created_at: Stamp,
}

impl TryFrom<AgentRow> for Agent {
    type Error = StoreError;

    fn try_from(row: AgentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            source: known(&row.source, "agents.source")?,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            archived_at: row.archived_at.map(|at| at.0),
            current: AgentVersion {
                id: row.version_id.into(),
                agent_id: row.id.into(),
                number: row.number,
                spec: row.spec.0,
                created_at: row.version_created_at.0,
            },
        })
    }
}

/// Columns of [`VersionRow`].
pub(crate) const VERSION_COLUMNS: &str = "id, agent_id, number, spec, created_at";

#[derive(FromRow)]
pub(crate) struct VersionRow {
    id: Uuid,
    agent_id: Uuid,
    number: i32,
    spec: Json<AgentSpec>,
    created_at: Stamp,
}

impl From<VersionRow> for AgentVersion {
    fn from(row: VersionRow) -> Self {
        Self {
            id: row.id.into(),
            agent_id: row.agent_id.into(),
            number: row.number,
            spec: row.spec.0,
            created_at: row.created_at.0,
        }
    }
}
