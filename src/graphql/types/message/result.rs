//! Results of tools and their parts.

use async_graphql::{ID, Object, SimpleObject, Union};

use super::file::{Content, FilePart};
use super::part::{DataPart, TextPart, json};
use crate::graphql::types::sized::Text;
use talkgraph_domain::{File, ResultFile, ResultPart, ResultResource};

/// The result of a tool call, as sent to the model.
pub(crate) struct ToolResultPart(talkgraph_domain::ToolResult);

/// The result of a tool call.
#[Object]
impl ToolResultPart {
    /// The call's id.
    async fn tool_call_id(&self) -> ID {
        self.0.tool_call_id.to_string().into()
    }

    /// The result as the model reads it, or the error.
    async fn text(&self) -> Text<&str> {
        Text(&self.0.text)
    }

    /// True if the call failed.
    async fn is_error(&self) -> bool {
        self.0.is_error
    }

    /// True if the text was cut to the tool's limit or a part was omitted.
    async fn truncated(&self) -> bool {
        self.0.truncated
    }

    /// The structured result: texts, values, files and resources, in order. A text-only result has
    /// one text part.
    async fn parts(&self) -> Vec<ResultContent> {
        contents(&self.0.text, &self.0.parts, &[])
    }
}

impl From<&talkgraph_domain::ToolResult> for ToolResultPart {
    fn from(result: &talkgraph_domain::ToolResult) -> Self {
        Self(result.clone())
    }
}

/// A part of a tool's result.
#[derive(Union)]
#[graphql(name = "ToolResultContent")]
pub(crate) enum ResultContent {
    /// Text.
    Text(TextPart),
    /// Data.
    Data(DataPart),
    /// A file.
    File(FilePart),
    /// A resource.
    Resource(ResourcePart),
}

/// A resource of an MCP server: a link or the resource itself.
#[derive(SimpleObject)]
pub(crate) struct ResourcePart {
    /// The URI, of any scheme. The server that returned it can read it; others may not.
    uri: Text,
    /// The name, if any.
    name: Option<String>,
    /// The title for people, if any.
    title: Option<String>,
    /// The description, if any.
    description: Option<Text>,
    /// The media type, such as `text/markdown`, if known.
    mime_type: Option<String>,
    /// The size of the content in bytes, if known.
    bytes: Option<u64>,
    /// The text; null for a link and for binary content.
    text: Option<Text>,
    /// The content; null for a link and for text.
    file: Option<FilePart>,
}

/// Returns the parts of a result or an output with this text. Files that are not among those
/// `at_hand` are read from the database.
pub(crate) fn contents(text: &str, parts: &[ResultPart], at_hand: &[File]) -> Vec<ResultContent> {
    if parts.is_empty() {
        let text = Text(text.to_owned());
        return vec![ResultContent::Text(TextPart { text })];
    }
    let content = |part: &ResultPart| match part {
        ResultPart::Text { text: own } => ResultContent::Text(TextPart {
            text: Text(own.as_deref().unwrap_or(text).to_owned()),
        }),
        ResultPart::Data { json: own } => ResultContent::Data(DataPart {
            data: json(own.as_deref().unwrap_or(text)),
        }),
        ResultPart::File(file) => ResultContent::File(file_part(file, at_hand)),
        ResultPart::Resource(resource) => ResultContent::Resource(of_resource(resource, at_hand)),
    };
    parts.iter().map(content).collect()
}

fn file_part(file: &ResultFile, at_hand: &[File]) -> FilePart {
    let whole = at_hand.iter().find(|one| one.id == file.id);
    FilePart {
        content: match whole {
            Some(whole) => Content::Whole(whole.content.clone()),
            None => Content::Stored(file.id),
        },
        name: file.name.clone(),
        mime_type: file.mime_type.clone(),
        bytes: file.bytes,
    }
}

fn of_resource(resource: &ResultResource, at_hand: &[File]) -> ResourcePart {
    ResourcePart {
        uri: Text(resource.uri.clone()),
        name: resource.name.clone(),
        title: resource.title.clone(),
        description: resource.description.clone().map(Text),
        mime_type: resource.mime_type.clone(),
        bytes: resource.bytes,
        text: resource.text.clone().map(Text),
        file: resource.file.as_ref().map(|file| file_part(file, at_hand)),
    }
}
