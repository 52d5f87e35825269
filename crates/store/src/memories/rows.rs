//! Rows of memories.

use sqlx_macros::FromRow;

use talkgraph_domain::Memory;

use crate::rows::Stamp;

/// Columns of [`MemoryRow`].
pub(crate) const MEMORY_COLUMNS: &str = "text, saved_at";

#[derive(FromRow)]
pub(crate) struct MemoryRow {
    text: String,
    saved_at: Stamp,
}

impl From<MemoryRow> for Memory {
    fn from(row: MemoryRow) -> Self {
        Self {
            text: row.text,
            saved_at: row.saved_at.0,
        }
    }
}
