//! Rows of summaries.

use sqlx::types::Uuid;
use sqlx_macros::FromRow;

use talkgraph_domain::Summary;

/// Columns of [`SummaryRow`], from `summaries c`.
pub(crate) const SUMMARY_COLUMNS: &str = "c.session_id, c.message_id, c.position, c.text";

#[derive(FromRow)]
pub(crate) struct SummaryRow {
    session_id: Uuid,
    message_id: Uuid,
    position: i32,
    text: String,
}

impl From<SummaryRow> for Summary {
    fn from(row: SummaryRow) -> Self {
        Self {
            session_id: row.session_id.into(),
            message_id: row.message_id.into(),
            position: row.position,
            text: row.text,
        }
    }
}
