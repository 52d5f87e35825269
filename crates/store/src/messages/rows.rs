//! Rows of messages.

use std::collections::HashMap;

use serde::Deserialize;
use sqlx_macros::FromRow;
use sqlx::types::{Json, Uuid};

use crate::{Kin, StoreError};
use talkgraph_domain::{Message, MessageId, Part};

use crate::rows::{Stamp, corrupt, known, known_option};

/// Columns of [`MessageRow`], from `messages m`.
pub(crate) const MESSAGE_COLUMNS: &str = "m.id, m.session_id, m.parent_id, m.position, m.role, \
    m.run_id, m.parts, m.finish_reason, m.created_at";

/// One row, or in JSON an array of [`MESSAGE_COLUMNS`].
#[derive(FromRow, Deserialize)]
pub(crate) struct MessageRow {
    id: Uuid,
    session_id: Uuid,
    parent_id: Option<Uuid>,
    position: i32,
    role: String,
    run_id: Uuid,
    parts: Json<Vec<Part>>,
    finish_reason: Option<String>,
    created_at: Stamp,
}

impl TryFrom<MessageRow> for Message {
    type Error = StoreError;

    fn try_from(row: MessageRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            session_id: row.session_id.into(),
            parent_id: row.parent_id.map(Into::into),
            position: row.position,
            role: known(&row.role, "messages.role")?,
            run_id: row.run_id.into(),
            parts: row.parts.0,
            finish_reason: known_option(row.finish_reason, "messages.finish_reason")?,
            created_at: row.created_at.0,
        })
    }
}

/// A message and which of the wanted branches it is part of, counted from 0.
#[derive(FromRow)]
pub(crate) struct BranchRow {
    branch: i64,
    #[sqlx(flatten)]
    message: MessageRow,
}

/// Sorts messages, which are one JSON value, into the `count` branches that were asked for.
pub(crate) fn sorted_branches(
    json: Option<&str>,
    count: usize,
) -> Result<Vec<Vec<Message>>, StoreError> {
    let rows: Vec<(usize, MessageRow)> = serde_json::from_str(json.unwrap_or("[]"))
        .map_err(|error| corrupt("messages", &error.to_string()))?;
    let mut branches = in_branches(rows, count)?;
    for branch in &mut branches {
        branch.sort_unstable_by_key(|message| message.position);
    }
    Ok(branches)
}

/// Sorts messages into the `count` branches that were asked for.
pub(crate) fn by_branch(
    rows: Vec<BranchRow>,
    count: usize,
) -> Result<Vec<Vec<Message>>, StoreError> {
    let number = |row: &BranchRow| usize::try_from(row.branch).unwrap_or(usize::MAX);
    in_branches(
        rows.into_iter().map(|row| (number(&row), row.message)),
        count,
    )
}

fn in_branches(
    rows: impl IntoIterator<Item = (usize, MessageRow)>,
    count: usize,
) -> Result<Vec<Vec<Message>>, StoreError> {
    let mut branches = vec![Vec::new(); count];
    for (branch, row) in rows {
        if let Some(branch) = branches.get_mut(branch) {
            branch.push(Message::try_from(row)?);
        }
    }
    Ok(branches)
}

/// A message that is below another one, or beside it.
#[derive(FromRow)]
pub(crate) struct KinRow {
    below: i32,
    relative: Uuid,
    id: Uuid,
}

/// Sorts messages into the kin that was asked for.
pub(crate) fn by_kin(rows: Vec<KinRow>, kin: &[Kin]) -> Vec<Vec<MessageId>> {
    let mut found: HashMap<Kin, Vec<MessageId>> = HashMap::new();
    for row in rows {
        let relative = row.relative.into();
        let kin = match row.below {
            0 => Kin::Beside(relative),
            _ => Kin::Below(relative),
        };
        found.entry(kin).or_default().push(row.id.into());
    }
    kin.iter()
        .map(|kin| found.get(kin).cloned().unwrap_or_default())
        .collect()
}

/// Writes a message's parts as its row keeps them.
pub(crate) fn encode_parts(parts: &[Part]) -> Result<String, StoreError> {
    serde_json::to_string(parts).map_err(|error| corrupt("messages.parts", &error.to_string()))
}
