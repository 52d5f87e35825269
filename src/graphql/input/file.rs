//! Files that clients send with a message.

use async_graphql::InputObject;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::{File, FileId};
use crate::graphql::{ApiError, ApiLimits};

/// The longest name of a file, in characters.
const NAME_CHARS: usize = 255;
/// What text is called that says nothing else of itself.
const PLAIN_TEXT: &str = "text/plain";

/// A file that comes with a message.
#[derive(InputObject)]
pub(crate) struct FileInput {
    /// Its name, 1 to 255 printable characters.
    name: Option<String>,
    /// What it is, such as `image/png`; its content must agree. Found out when absent.
    mime_type: Option<String>,
    /// Its content in Base64 (RFC 4648, section 4). The request has to be within the server's
    /// limit on bodies as well.
    data: String,
}

/// Without the content.
impl std::fmt::Debug for FileInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileInput").finish_non_exhaustive()
    }
}

/// Reads the files of a message.
pub(super) fn check(files: Vec<FileInput>, limits: &ApiLimits) -> Result<Vec<File>, ApiError> {
    if files.len() > limits.files {
        let most = limits.files;
        let why = format!("a message may have at most {most} files");
        return Err(ApiError::bad_input("input.message.files", why));
    }
    let numbered = files.into_iter().enumerate();
    numbered
        .map(|(at, file)| {
            let field = format!("input.message.files.{at}");
            let wrong =
                |(key, why): (&str, String)| ApiError::bad_input(&format!("{field}.{key}"), why);
            file.check(limits.file_bytes).map_err(wrong)
        })
        .collect()
}

impl FileInput {
    /// The file, or the field that is wrong and why.
    fn check(self, most_bytes: usize) -> Result<File, (&'static str, String)> {
        if let Some(name) = &self.name
            && (name.trim().is_empty()
                || name.chars().count() > NAME_CHARS
                || name.contains(char::is_control))
        {
            let why = format!("the name must have 1 to {NAME_CHARS} printable characters");
            return Err(("name", why));
        }
        let content = STANDARD.decode(&self.data);
        let content = content.map_err(|error| ("data", format!("this is no Base64: {error}")))?;
        if content.is_empty() || content.len() > most_bytes {
            let why = format!(
                "the file has {} bytes; 1 to {most_bytes} are allowed",
                content.len()
            );
            return Err(("data", why));
        }
        let mime_type = mime_type(self.mime_type.as_deref(), &content);
        Ok(File {
            id: FileId::new(),
            name: self.name,
            mime_type: mime_type.map_err(|why| ("mimeType", why))?,
            content: content.into(),
        })
    }
}

/// What a content is: it has to agree with what is claimed.
fn mime_type(claimed: Option<&str>, content: &[u8]) -> Result<String, String> {
    let found = infer::get(content).map(|kind| kind.mime_type());
    let is_text = !content.contains(&0) && std::str::from_utf8(content).is_ok();
    let Some(claimed) = claimed else {
        return match found {
            Some(found) => Ok(found.to_owned()),
            None if is_text => Ok(PLAIN_TEXT.to_owned()),
            None => Err("the content does not tell what it is; give `mimeType`".to_owned()),
        };
    };
    let claimed = claimed.trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        (1..=64).contains(&part.len()) && part.bytes().all(allowed)
    };
    let parts = claimed.split_once('/');
    if !parts.is_some_and(|(kind, name)| is_token(kind) && is_token(name)) {
        return Err("this is no type such as image/png, without parameters".to_owned());
    }
    let says_text = claimed.starts_with("text/") || claimed == "application/json";
    let agrees = match found {
        Some(found) if found == claimed => true,
        // Marks in a text are easily taken for those of something else.
        _ if says_text => is_text,
        Some(found) => kind_of(found) == kind_of(&claimed) && kind_of(found) == "audio",
        None => false,
    };
    match (agrees, found) {
        (true, _) => Ok(claimed),
        (false, Some(found)) => Err(format!("the content is {found}, not {claimed}")),
        (false, None) => Err(format!("the content is not {claimed}")),
    }
}

fn kind_of(mime_type: &str) -> &str {
    mime_type.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::mime_type;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_content_agrees_with_what_is_claimed() {
        for (claimed, content, found) in [
            (None, PNG, "image/png"),
            (Some("image/png"), PNG, "image/png"),
            (Some("Image/PNG"), PNG, "image/png"),
            (None, b"%PDF-1.7 ".as_slice(), "application/pdf"),
            (None, b"words", "text/plain"),
            (Some("text/markdown"), b"# words", "text/markdown"),
            (Some("application/json"), b"{}", "application/json"),
        ] {
            assert_eq!(
                mime_type(claimed, content).as_deref(),
                Ok(found),
                "{claimed:?}"
            );
        }
        for (claimed, content) in [
            (Some("image/jpeg"), PNG),
            (Some("image/png"), b"words".as_slice()),
            (Some("text/plain"), PNG),
            (Some("text/plain"), b"\xff\xfe"),
            (Some("png"), PNG),
            (Some("image/png; a=b"), PNG),
            (Some("image/*"), PNG),
            (None, b"\x00\x01\x02"),
        ] {
            assert!(mime_type(claimed, content).is_err(), "{claimed:?}");
        }
    }
}
