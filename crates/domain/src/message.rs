//! Messages: texts, tool calls, files and other parts, in order.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::ids::{FileId, MessageId, RunId, SessionId, ToolCallId};
use super::result::{ResultPart, ToolResult};
use super::run::FinishReason;
use super::time::Timestamp;

/// The author of a message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// The person.
    User,
    /// The agent.
    Assistant,
}

/// One message of a session.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The session it belongs to.
    pub session_id: SessionId,
    /// The message it answers or follows; none for the first.
    pub parent_id: Option<MessageId>,
    /// Its position in its branch, from 0.
    pub position: i32,
    /// The author.
    pub role: Role,
    /// The run that it started (user) or that wrote it (assistant).
    pub run_id: RunId,
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// The reason why the answer ended; none for user messages.
    pub finish_reason: Option<FinishReason>,
    /// Time of creation.
    pub created_at: Timestamp,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", try_from = "AnyPart")]
pub enum Part {
    /// Plain text or Markdown.
    Text {
        /// The text.
        text: String,
    },
    /// The model's reasoning before its answer.
    Reasoning {
        /// The text.
        text: String,
        /// The signature that the vendor requires to be sent back in the same run.
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// The model called a tool.
    ToolCall {
        /// The call.
        id: ToolCallId,
        /// The tool's name, as the model wrote it.
        name: String,
        /// JSON text, as the model wrote it.
        arguments: String,
    },
    /// The result of a tool call.
    ToolResult(ToolResult),
    /// A file, whose content is stored separately.
    File {
        /// The file.
        id: FileId,
        /// Its name, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Its media type, such as `image/png`.
        #[serde(rename = "mimeType")]
        mime_type: String,
        /// The length of its content.
        bytes: u64,
    },
    /// The answer as data in the requested form.
    Data {
        /// JSON text, valid against the requested schema.
        json: String,
    },
}

/// The fields of all kinds of parts. Serde buffers the alternatives of a tagged type first; a
/// history has many parts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyPart {
    r#type: PartKind,
    text: Option<String>,
    signature: Option<String>,
    id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    tool_call_id: Option<ToolCallId>,
    #[serde(default)]
    is_error: bool,
    #[serde(default)]
    truncated: bool,
    mime_type: Option<String>,
    bytes: Option<u64>,
    json: Option<String>,
    #[serde(default)]
    parts: Vec<ResultPart>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum PartKind {
    Text,
    Reasoning,
    ToolCall,
    ToolResult,
    File,
    Data,
}

impl TryFrom<AnyPart> for Part {
    type Error = &'static str;

    fn try_from(any: AnyPart) -> Result<Self, &'static str> {
        Self::of(any).ok_or("a part lacks a field")
    }
}

impl Part {
    /// The total size of its texts, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Reasoning { text, signature } => {
                text.len() + signature.as_ref().map_or(0, String::len)
            }
            Self::ToolCall { arguments, .. } => arguments.len(),
            Self::ToolResult(result) => result.bytes(),
            Self::File { .. } => 0,
            Self::Data { json } => json.len(),
        }
    }

    fn of(any: AnyPart) -> Option<Self> {
        Some(match any.r#type {
            PartKind::Text => Self::Text { text: any.text? },
            PartKind::Reasoning => Self::Reasoning {
                text: any.text?,
                signature: any.signature,
            },
            PartKind::ToolCall => Self::ToolCall {
                id: any.id?.parse().ok()?,
                name: any.name?,
                arguments: any.arguments?,
            },
            PartKind::ToolResult => Self::ToolResult(ToolResult {
                tool_call_id: any.tool_call_id?,
                text: any.text?,
                is_error: any.is_error,
                truncated: any.truncated,
                parts: any.parts,
            }),
            PartKind::File => Self::File {
                id: any.id?.parse().ok()?,
                name: any.name,
                mime_type: any.mime_type?,
                bytes: any.bytes?,
            },
            PartKind::Data => Self::Data { json: any.json? },
        })
    }
}

impl Message {
    /// The concatenation of all text parts.
    pub fn text(&self) -> String {
        text_of(&self.parts)
    }

    /// The total size of the texts of its parts, in bytes.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// The JSON text of its data, if it has any.
    pub fn data(&self) -> Option<&str> {
        data_of(&self.parts)
    }
}

/// The JSON text of the data among these parts.
pub fn data_of(parts: &[Part]) -> Option<&str> {
    parts.iter().rev().find_map(|part| match part {
        Part::Data { json } => Some(json.as_str()),
        _ => None,
    })
}

/// The concatenation of all text parts.
pub fn text_of(parts: &[Part]) -> String {
    parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::Reasoning { .. }
            | Part::ToolCall { .. }
            | Part::ToolResult(_)
            | Part::File { .. }
            | Part::Data { .. } => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_part() -> impl Strategy<Value = Part> {
        let text = any::<String>;
        prop_oneof![
            text().prop_map(|text| Part::Text { text }),
            (text(), any::<Option<String>>())
                .prop_map(|(text, signature)| Part::Reasoning { text, signature }),
            (text(), text()).prop_map(|(name, arguments)| Part::ToolCall {
                id: ToolCallId::new(),
                name,
                arguments,
            }),
            (text(), any::<[bool; 2]>()).prop_map(|(text, [is_error, truncated])| {
                Part::ToolResult(ToolResult {
                    tool_call_id: ToolCallId::new(),
                    text,
                    is_error,
                    truncated,
                    parts: vec![ResultPart::Data { json: None }],
                })
            }),
            (any::<Option<String>>(), text(), any::<u64>()).prop_map(|(name, mime_type, bytes)| {
                Part::File {
                    id: FileId::new(),
                    name,
                    mime_type,
                    bytes,
                }
            }),
            text().prop_map(|json| Part::Data { json }),
        ]
    }

    proptest! {
        #[test]
        fn a_part_is_read_as_it_was_written(part in any_part()) {
            let json = serde_json::to_string(&part).unwrap();
            prop_assert_eq!(serde_json::from_str::<Part>(&json).unwrap(), part);
        }
    }

    #[test]
    fn every_part_requires_its_fields() {
        let error = serde_json::from_str::<Part>(r#"{"type":"text"}"#).unwrap_err();
        assert_eq!(error.to_string(), "a part lacks a field");
    }
}
