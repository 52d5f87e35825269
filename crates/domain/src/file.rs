//! Files: the parts of a message that are not text.

use std::sync::Arc;

use super::ids::FileId;

/// A file with its content. Never changes.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its media type, such as `image/png`.
    pub mime_type: String,
    /// Its bytes.
    pub content: Arc<[u8]>,
}

/// Formats a file without its content, which is too long for a log.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("id", &self.id)
            .field("mime_type", &self.mime_type)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// Aliases of media types and their usual names: the names of IANA and of the WHATWG's MIME
/// sniffing standard, and those that browsers, phones and servers send.
const ALIASES: [(&str, &str); 22] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/jfif", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/x-webp", "image/webp"),
    ("image/x-ms-bmp", "image/bmp"),
    ("image/x-bmp", "image/bmp"),
    ("image/svg", "image/svg+xml"),
    ("image/vnd.microsoft.icon", "image/x-icon"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/mpeg3", "audio/mpeg"),
    ("audio/x-mp3", "audio/mpeg"),
    ("audio/x-mpeg", "audio/mpeg"),
    ("audio/x-wav", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("audio/x-m4a", "audio/m4a"),
    ("application/x-pdf", "application/pdf"),
    ("text/json", "application/json"),
    ("text/x-json", "application/json"),
    ("text/x-markdown", "text/markdown"),
];

/// The usual name of a type that has several.
pub fn usual_name(mime_type: &str) -> &str {
    let known = ALIASES.iter().find(|(alias, _)| *alias == mime_type);
    known.map_or(mime_type, |(_, usual)| usual)
}

/// Returns true if a type matches one of `patterns`, each a type or a kind such as `image/*`.
pub fn is_mime_type_of(mime_type: &str, patterns: &[String]) -> bool {
    let mime_type = usual_name(mime_type);
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(kind) => mime_type.starts_with(kind),
            None => mime_type == usual_name(pattern),
        })
}
