//! Rows of interrupts.

use sqlx::types::{Json, Uuid};
use sqlx_macros::FromRow;

use crate::StoreError;
use talkgraph_domain::{InputQuestion, Interrupt, InterruptKind, Principal, Resolved};

use crate::rows::{Owned, Stamp, corrupt, known};

/// Columns of [`InterruptRow`], from `interrupts i`.
pub(crate) const INTERRUPT_COLUMNS: &str = "i.id, i.tenant, i.owner, i.run_id, i.session_id, \
    i.tool_call_id, i.kind, i.tool, i.arguments, i.created_at, i.expires_at, i.resolution, i.asks";

#[derive(FromRow)]
pub(crate) struct InterruptRow {
    id: Uuid,
    tenant: String,
    owner: String,
    run_id: Uuid,
    session_id: Uuid,
    tool_call_id: Uuid,
    kind: String,
    tool: String,
    arguments: Json<serde_json::Value>,
    created_at: Stamp,
    expires_at: Stamp,
    resolution: Option<Json<Resolved>>,
    asks: Option<Json<InputQuestion>>,
}

impl Owned for InterruptRow {
    fn principal(&self) -> Principal {
        Principal::new(&self.tenant, &self.owner, "server")
    }
}

impl TryFrom<InterruptRow> for Interrupt {
    type Error = StoreError;

    fn try_from(row: InterruptRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            kind: match row.asks {
                Some(_) => InterruptKind::InputRequest,
                None => known(&row.kind, "interrupts.kind")?,
            },
            run_id: row.run_id.into(),
            session_id: row.session_id.into(),
            tool_call_id: row.tool_call_id.into(),
            tool: row.tool,
            arguments: row.arguments.0,
            created_at: row.created_at.0,
            expires_at: row.expires_at.0,
            resolution: row.resolution.map(|resolved| resolved.0),
            question: row.asks.map(|question| question.0),
        })
    }
}

/// The stored kind of an interrupt. A question is marked by its column, because the table knows two
/// kinds; releases without that column list it as an approval.
pub(crate) fn stored_kind(interrupt: &Interrupt) -> &'static str {
    match interrupt.kind {
        InterruptKind::InputRequest => InterruptKind::ToolApproval.into(),
        kind => kind.into(),
    }
}

/// Encodes an interrupt's answer.
pub(crate) fn encode_resolution(interrupt: &Interrupt) -> Result<String, StoreError> {
    serde_json::to_string(&interrupt.resolution)
        .map_err(|error| corrupt("interrupts.resolution", &error.to_string()))
}

/// Encodes an interrupt's question.
pub(crate) fn encode_question(interrupt: &Interrupt) -> Result<Option<String>, StoreError> {
    let question = interrupt.question.as_ref().map(serde_json::to_string);
    question
        .transpose()
        .map_err(|error| corrupt("interrupts.asks", &error.to_string()))
}
