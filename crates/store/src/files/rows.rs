//! Rows of files.

use sqlx::types::Uuid;
use sqlx_macros::FromRow;

use talkgraph_domain::File;

/// Columns of [`FileRow`].
pub(crate) const FILE_COLUMNS: &str = "id, name, mime_type, content";

#[derive(FromRow)]
pub(crate) struct FileRow {
    id: Uuid,
    name: Option<String>,
    mime_type: String,
    content: Vec<u8>,
}

impl From<FileRow> for File {
    fn from(row: FileRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            mime_type: row.mime_type,
            content: row.content.into(),
        }
    }
}
