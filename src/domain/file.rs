//! Files: what a message has beside its text.

use std::sync::Arc;

use super::ids::FileId;

/// A file with its content. Never changes.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it is, such as `image/png`.
    pub mime_type: String,
    /// Its bytes.
    pub content: Arc<[u8]>,
}

/// Without the content, which nobody wants to read in a log.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("id", &self.id)
            .field("mime_type", &self.mime_type)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// Whether a type is one of `patterns`, each a type or all of a kind such as `image/*`.
pub fn is_mime_type_of(mime_type: &str, patterns: &[String]) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(kind) => mime_type.starts_with(kind),
            None => mime_type == pattern,
        })
}
