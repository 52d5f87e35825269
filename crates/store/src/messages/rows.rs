//! Rows of messages.

use std::collections::HashMap;

use serde::Deserialize;
use sqlx::types::{Json, Uuid};
use sqlx_macros::FromRow;

use crate::{Siblings, StoreError};
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

/// A message and the index of its branch in the request.
#[derive(FromRow)]
pub(crate) struct BranchRow {
    branch: i64,
    #[sqlx(flatten)]
    message: MessageRow,
}

/// Sorts messages, which are one JSON value, into the `count` requested branches.
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

/// Sorts messages into the `count` requested branches.
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

/// A message that is a child of another one, or its sibling.
#[derive(FromRow)]
pub(crate) struct SiblingRow {
    below: i32,
    relative: Uuid,
    id: Uuid,
}

/// Sorts messages into the requested siblings.
pub(crate) fn by_siblings(rows: Vec<SiblingRow>, of: &[Siblings]) -> Vec<Vec<MessageId>> {
    let mut found: HashMap<Siblings, Vec<MessageId>> = HashMap::new();
    for row in rows {
        let relative = row.relative.into();
        let siblings = match row.below {
            0 => Siblings::Of(relative),
            _ => Siblings::Below(relative),
        };
        found.entry(siblings).or_default().push(row.id.into());
    }
    of.iter()
        .map(|one| found.get(one).cloned().unwrap_or_default())
        .collect()
}

/// Encodes a message's parts.
pub(crate) fn encode_parts(parts: &[Part]) -> Result<String, StoreError> {
    serde_json::to_string(parts).map_err(|error| corrupt("messages.parts", &error.to_string()))
}
