//! Outputs of tools: a text for the model and the parts that it represents, within limits.

mod bounds;

use infer::MatcherType;
use serde_json::Value;

use super::ToolError;
use talkgraph_domain::file::usual_name;
use talkgraph_domain::{File, FileId, ResultFile, ResultPart};

pub use bounds::OutputLimits;

/// The type of a file whose type is not known.
const UNKNOWN: &str = "application/octet-stream";

/// The mark at the end of a text that was cut, so that a model knows.
const CUT: &str = "\n[cut here: the output is longer]";

/// The output of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text for the model, the mark of a cut included.
    pub text: String,
    /// True if something was cut off.
    pub truncated: bool,
    /// The parts, in order; empty if the output is its text alone.
    pub parts: Vec<ResultPart>,
    /// The files that the parts name.
    pub files: Vec<File>,
}

impl ToolOutput {
    /// Creates an output that is a text alone.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            truncated: false,
            parts: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Creates an output from JSON text.
    pub fn json(text: impl Into<String>) -> Self {
        Self {
            parts: vec![ResultPart::Data { json: None }],
            ..Self::new(text)
        }
    }

    /// Creates an output of a file, with its description as the text.
    pub fn file(file: File) -> Self {
        let mut output = Self::new(described(kind(&file.mime_type), &file));
        output.parts.push(ResultPart::File(reference(&file)));
        output.files.push(file);
        output
    }

    /// The part of a response that a JSON Pointer selects (RFC 6901): a text unchanged, anything
    /// else as JSON.
    pub fn part_of(response: &Value, pointer: &str) -> Result<Self, ToolError> {
        match response.pointer(pointer) {
            Some(Value::String(text)) => Ok(Self::new(text.clone())),
            Some(value) => Ok(Self::json(value.to_string())),
            None => Err(ToolError::Failed(format!(
                "the response has nothing at {pointer}"
            ))),
        }
    }

    /// Limits the text to `limit` bytes. A cut is at a whole character and is marked; the mark
    /// counts towards the limit, unless that is smaller than the mark. The cut text of a value is
    /// no longer a value.
    #[must_use]
    pub fn capped(self, limit: usize) -> Self {
        if self.text.len() <= limit {
            return self;
        }
        let mut parts = self.parts;
        for part in &mut parts {
            if matches!(part, ResultPart::Data { json: None }) {
                *part = ResultPart::Text { text: None };
            }
        }
        Self {
            text: cut(self.text, limit),
            truncated: true,
            parts,
            files: self.files,
        }
    }
}

/// Cuts a text at `limit` bytes, with a mark at the end.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit.saturating_sub(CUT.len())));
        text.push_str(CUT);
    }
    text
}

/// A file of an output. Its media type is the claimed one if the content agrees, else the one that
/// the content shows.
pub(super) fn new_file(name: Option<String>, claimed: Option<&str>, content: Vec<u8>) -> File {
    let claimed = claimed.map(|claimed| {
        let essence = claimed.split(';').next().unwrap_or_default();
        usual_name(essence.trim().to_ascii_lowercase().as_str()).to_owned()
    });
    let is_type = |text: &String| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
        text.len() <= 128 && text.matches('/').count() == 1 && text.bytes().all(allowed)
    };
    let claimed = claimed.filter(is_type);
    let found = infer::get(&content).filter(|found| {
        // The signatures of text formats are easily mistaken.
        !matches!(found.matcher_type(), MatcherType::Text)
    });
    let found = found.map(|found| usual_name(found.mime_type()));
    let mime_type = match (claimed, found) {
        // A type within the one that was found: office documents are archives, for example.
        (Some(claimed), Some(found)) if kind(&claimed) == kind(found) && !has_marks(&claimed) => {
            claimed
        }
        (_, Some(found)) => found.to_owned(),
        (Some(claimed), None) if !has_marks(&claimed) => claimed,
        _ => UNKNOWN.to_owned(),
    };
    File {
        id: FileId::new(),
        name,
        mime_type,
        content: content.into(),
    }
}

/// Returns true for types whose contents are recognised by their first bytes. Vendors refuse a
/// request that has one under another type, and then every request of a history that contains it.
fn has_marks(mime_type: &str) -> bool {
    let is_text = mime_type == "image/svg+xml";
    (kind(mime_type) == "image" && !is_text) || mime_type == "application/pdf"
}

/// The part that names a file.
pub(super) fn reference(file: &File) -> ResultFile {
    ResultFile {
        id: file.id,
        name: file.name.clone(),
        mime_type: file.mime_type.clone(),
        bytes: file.content.len() as u64,
    }
}

/// The description that represents a file in a text.
pub(super) fn described(what: &str, file: &File) -> String {
    let bytes = file.content.len();
    format!("[{what}: {}, {bytes} bytes]", file.mime_type)
}

/// The kind of a type, such as `image`.
pub(super) fn kind(mime_type: &str) -> &str {
    mime_type.split('/').next().unwrap_or_default()
}

/// Cuts a text at `limit` bytes, with `…` where it was cut.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fitting_text_is_unchanged() {
        let output = ToolOutput::new("äöü").capped(6);
        assert_eq!(output, ToolOutput::new("äöü"));
    }

    #[test]
    fn cut_value_is_text() {
        let output = ToolOutput::json(format!("[{}]", "1,".repeat(50))).capped(50);
        assert_eq!(output.parts, [ResultPart::Text { text: None }]);
    }

    #[test]
    fn file_has_the_type_of_its_content() {
        let png = b"\x89PNG\r\n\x1a\n".as_slice();
        for (claimed, content, found) in [
            (Some("image/png"), png, "image/png"),
            (
                Some("image/jpg"),
                b"\xff\xd8\xff\xe0".as_slice(),
                "image/jpeg",
            ),
            (Some("text/html"), png, "image/png"),
            (None, png, "image/png"),
            (Some("image/png"), b"<html>", UNKNOWN),
            (Some("image/png"), b"\xff\xd8\xff\xe0", "image/jpeg"),
            (Some("application/pdf"), b"<html>", UNKNOWN),
            (Some("text/csv; charset=utf-8"), b"a,b", "text/csv"),
            (Some("no type"), b"a,b", UNKNOWN),
            (Some("audio/wav"), b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        ] {
            let file = new_file(None, claimed, content.to_vec());
            assert_eq!(file.mime_type, found, "{claimed:?}");
        }
    }

    proptest! {
        #[test]
        fn cut_text_is_marked_and_within_the_limit(text in "\\PC{0,200}", limit in 40_usize..200) {
            let output = ToolOutput::new(text.clone()).capped(limit);
            prop_assert_eq!(output.truncated, text.len() > limit);
            prop_assert!(output.text.len() <= limit);
            if output.truncated {
                let kept = output.text.strip_suffix(CUT).unwrap();
                prop_assert!(text.starts_with(kept));
                // At most one character fewer than would fit.
                prop_assert!(kept.len() + 4 > limit - CUT.len());
            }
        }
    }
}
