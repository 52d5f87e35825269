//! Results of tool calls: the text for the model, and the parts that it was made from.

use serde::{Deserialize, Serialize};

use super::ids::{FileId, ToolCallId};

/// The result of one call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// The call.
    pub tool_call_id: ToolCallId,
    /// The text that the model is shown, or the error.
    pub text: String,
    /// True if the call failed.
    #[serde(default)]
    pub is_error: bool,
    /// True if the text was cut to the tool's limit.
    #[serde(default)]
    pub truncated: bool,
    /// The parts of the result, in order; empty if it is its text alone, as all results of earlier
    /// releases are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ResultPart>,
}

/// One part of a tool's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ResultPart {
    /// Plain text or Markdown.
    Text {
        /// The text; none if it is the whole text of the result, which is not stored twice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// A value.
    Data {
        /// JSON text; none if it is the whole text of the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        json: Option<String>,
    },
    /// An image, a recording or a document.
    File(ResultFile),
    /// A resource of an MCP server.
    Resource(Box<ResultResource>),
}

/// A file of a result. Its content is stored separately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultFile {
    /// The file. Its field name differs from that of a message's own files: the database finds the
    /// messages that have files in results by it.
    #[serde(rename = "fileId")]
    pub id: FileId,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its media type, such as `image/png`.
    pub mime_type: String,
    /// The length of its content.
    pub bytes: u64,
}

/// A resource: a link to it, or the resource itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultResource {
    /// Its URI, of any scheme.
    pub uri: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its title for people, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its description, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its media type, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The length of its content, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its text, if the result contained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its content, if the result contained it and it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ResultFile>,
}

impl ToolResult {
    /// Creates a result that is a text alone.
    pub fn of_text(tool_call_id: ToolCallId, text: impl Into<String>, is_error: bool) -> Self {
        Self {
            tool_call_id,
            text: text.into(),
            is_error,
            truncated: false,
            parts: Vec::new(),
        }
    }

    /// The total size of its texts, in bytes.
    pub fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(ResultPart::bytes);
        self.text.len() + parts.sum::<usize>()
    }

    /// Its files, in order.
    pub fn files(&self) -> impl Iterator<Item = &ResultFile> {
        self.parts.iter().filter_map(ResultPart::file)
    }
}

impl ResultPart {
    /// The size of its texts, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text { text } => text.as_ref().map_or(0, String::len),
            Self::Data { json } => json.as_ref().map_or(0, String::len),
            Self::File(_) => 0,
            Self::Resource(resource) => {
                let texts = [
                    Some(&resource.uri),
                    resource.name.as_ref(),
                    resource.title.as_ref(),
                    resource.description.as_ref(),
                    resource.text.as_ref(),
                ];
                texts.into_iter().flatten().map(String::len).sum()
            }
        }
    }

    /// Its file, if it has one.
    pub fn file(&self) -> Option<&ResultFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Resource(resource) => resource.file.as_ref(),
            Self::Text { .. } | Self::Data { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_of_an_earlier_release_is_read() {
        let id = ToolCallId::new();
        let old = format!(r#"{{"toolCallId":"{id}","text":"Sun"}}"#);
        let read: ToolResult = serde_json::from_str(&old).unwrap();
        assert_eq!(read, ToolResult::of_text(id, "Sun", false));
    }

    #[test]
    fn parts_are_read_as_they_were_written() {
        let file = ResultFile {
            id: FileId::new(),
            name: Some("a.png".to_owned()),
            mime_type: "image/png".to_owned(),
            bytes: 3,
        };
        let resource = ResultResource {
            uri: "demo://a".to_owned(),
            name: None,
            title: Some("A".to_owned()),
            description: None,
            mime_type: None,
            bytes: Some(3),
            text: None,
            file: Some(file.clone()),
        };
        let result = ToolResult {
            truncated: true,
            parts: vec![
                ResultPart::Text { text: None },
                ResultPart::Data {
                    json: Some("{\"a\":1}".to_owned()),
                },
                ResultPart::File(file),
                ResultPart::Resource(Box::new(resource)),
            ],
            ..ToolResult::of_text(ToolCallId::new(), "…", false)
        };
        let text = serde_json::to_string(&result).unwrap();
        assert_eq!(serde_json::from_str::<ToolResult>(&text).unwrap(), result);
        assert_eq!(result.files().count(), 2);
    }
}
