//! The pieces that a message is made of.

use async_graphql::{ID, SimpleObject, Union};
use serde_json::Value;

use super::file::FilePart;
use crate::domain;
use crate::graphql::types::sized::{Data, Text};

/// A piece of a message.
#[derive(Union)]
pub(crate) enum MessagePart {
    /// Text.
    Text(TextPart),
    /// Reasoning.
    Reasoning(ReasoningPart),
    /// A call of a tool.
    ToolCall(ToolCallPart),
    /// What a call came to.
    ToolResult(ToolResultPart),
    /// A file.
    File(FilePart),
    /// Data.
    Data(DataPart),
}

/// Text, plain or Markdown.
#[derive(SimpleObject)]
pub(crate) struct TextPart {
    /// The text.
    text: Text,
}

/// What the model thought before it answered.
#[derive(SimpleObject)]
pub(crate) struct ReasoningPart {
    /// The text.
    text: Text,
}

/// A call of a tool that the model asked for.
#[derive(SimpleObject)]
pub(crate) struct ToolCallPart {
    /// The call's id; its `ToolResultPart` has the same.
    tool_call_id: ID,
    /// The tool's name, as the model said it.
    name: Text,
    /// The arguments as the model wrote them: JSON text, unless it made a mistake.
    arguments: Text,
}

/// What the call of a tool came to, as the model was told.
#[derive(SimpleObject)]
pub(crate) struct ToolResultPart {
    /// The call's id.
    tool_call_id: ID,
    /// What the tool said, or what was wrong.
    text: Text,
    /// Whether the call failed.
    is_error: bool,
    /// Whether the text was cut to the tool's limit.
    truncated: bool,
}

/// The answer in the form that it was asked for.
#[derive(SimpleObject)]
pub(crate) struct DataPart {
    /// What it says, valid against the JSON Schema.
    data: Data<Value>,
}

/// The value of data, which is kept as the text that was validated.
pub(in crate::graphql::types) fn json(text: &str) -> Data<Value> {
    Data(serde_json::from_str(text).unwrap_or_default())
}

impl From<&domain::ToolResult> for ToolResultPart {
    fn from(result: &domain::ToolResult) -> Self {
        Self {
            tool_call_id: result.tool_call_id.to_string().into(),
            text: Text(result.text.clone()),
            is_error: result.is_error,
            truncated: result.truncated,
        }
    }
}

/// A part as clients see it; none for what is only for the vendor.
pub(super) fn visible(part: &domain::Part) -> Option<MessagePart> {
    Some(match part {
        domain::Part::Text { text } => MessagePart::Text(TextPart {
            text: Text(text.clone()),
        }),
        domain::Part::Reasoning { text, .. } if text.is_empty() => return None,
        domain::Part::Reasoning { text, .. } => MessagePart::Reasoning(ReasoningPart {
            text: Text(text.clone()),
        }),
        domain::Part::ToolCall {
            id,
            name,
            arguments,
        } => MessagePart::ToolCall(ToolCallPart {
            tool_call_id: id.to_string().into(),
            name: Text(name.clone()),
            arguments: Text(arguments.clone()),
        }),
        domain::Part::ToolResult(result) => MessagePart::ToolResult(result.into()),
        domain::Part::File {
            id,
            name,
            mime_type,
            bytes,
        } => MessagePart::File(FilePart {
            id: *id,
            name: name.clone(),
            mime_type: mime_type.clone(),
            bytes: *bytes,
        }),
        domain::Part::Data { json: text } => MessagePart::Data(DataPart { data: json(text) }),
    })
}
