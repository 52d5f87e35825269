//! The parts of a message.

use std::collections::HashSet;

use async_graphql::{ID, Object, SimpleObject, Union};
use serde_json::{Map, Value};

use super::file::{Content, FilePart};
use super::result::ToolResultPart;
use crate::graphql::types::sized::{Data, Text};
use talkgraph_domain::ToolCallId;

/// A part of a message.
#[derive(Union)]
pub(crate) enum MessagePart {
    /// Text.
    Text(TextPart),
    /// Reasoning.
    Reasoning(ReasoningPart),
    /// A call of a tool.
    ToolCall(ToolCallPart),
    /// The result of a call.
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
    pub(super) text: Text,
}

/// The model's reasoning before its answer.
#[derive(SimpleObject)]
pub(crate) struct ReasoningPart {
    /// The text.
    text: Text,
}

/// A tool call requested by the model.
pub(crate) struct ToolCallPart {
    id: ToolCallId,
    name: String,
    arguments: String,
    /// True once the call has its result.
    is_made: bool,
}

/// A tool call requested by the model.
#[Object]
impl ToolCallPart {
    /// The call's id, shared with its `ToolResultPart`.
    async fn tool_call_id(&self) -> ID {
        self.id.to_string().into()
    }

    /// The tool's name, as the model wrote it.
    async fn name(&self) -> Text<&str> {
        Text(&self.name)
    }

    /// The arguments as the model wrote them: JSON text, possibly invalid.
    async fn arguments(&self) -> Text<&str> {
        Text(&self.arguments)
    }

    /// The arguments as a value; null while they are incomplete or if they are invalid JSON.
    async fn input(&self) -> Option<Data<Value>> {
        match self.arguments.trim() {
            // A call without arguments.
            "" => self.is_made.then(|| Data(Value::Object(Map::new()))),
            text => serde_json::from_str(text).ok().map(Data),
        }
    }
}

/// A value: the structured form of an answer, or part of a tool's result.
#[derive(SimpleObject)]
pub(crate) struct DataPart {
    /// The value. In an answer, it is valid against the requested JSON Schema.
    pub(super) data: Data<Value>,
}

/// Parses stored data, which is kept as the validated text.
pub(in crate::graphql::types) fn json(text: &str) -> Data<Value> {
    Data(serde_json::from_str(text).unwrap_or_default())
}

/// Returns the parts that clients see, without those that only the vendor uses.
pub(super) fn visible(parts: &[talkgraph_domain::Part]) -> Vec<MessagePart> {
    let of_result = |part: &talkgraph_domain::Part| match part {
        talkgraph_domain::Part::ToolResult(result) => Some(result.tool_call_id),
        _ => None,
    };
    let made: HashSet<_> = parts.iter().filter_map(of_result).collect();
    parts.iter().filter_map(|part| shown(part, &made)).collect()
}

fn shown(part: &talkgraph_domain::Part, made: &HashSet<ToolCallId>) -> Option<MessagePart> {
    Some(match part {
        talkgraph_domain::Part::Text { text } => MessagePart::Text(TextPart {
            text: Text(text.clone()),
        }),
        talkgraph_domain::Part::Reasoning { text, .. } if text.is_empty() => return None,
        talkgraph_domain::Part::Reasoning { text, .. } => MessagePart::Reasoning(ReasoningPart {
            text: Text(text.clone()),
        }),
        talkgraph_domain::Part::ToolCall {
            id,
            name,
            arguments,
        } => MessagePart::ToolCall(ToolCallPart {
            id: *id,
            name: name.clone(),
            arguments: arguments.clone(),
            is_made: made.contains(id),
        }),
        talkgraph_domain::Part::ToolResult(result) => MessagePart::ToolResult(result.into()),
        talkgraph_domain::Part::File {
            id,
            name,
            mime_type,
            bytes,
        } => MessagePart::File(FilePart {
            content: Content::Stored(*id),
            name: name.clone(),
            mime_type: mime_type.clone(),
            bytes: *bytes,
        }),
        talkgraph_domain::Part::Data { json: text } => {
            MessagePart::Data(DataPart { data: json(text) })
        }
    })
}
