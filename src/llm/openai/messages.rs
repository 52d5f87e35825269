//! The messages of a chat completions request.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::{CallIds, Dialect};
use crate::domain::capabilities::CallIds as KnownIds;
use crate::llm::results::{Place, is_common_image, is_text};
use crate::llm::wire::{arguments_text, call_id, text_file, unsupported, url_of};
use crate::llm::{Capabilities, ChatMessage, ChatRole, Content, FileData, LlmError};

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    /// A text, an array of parts, or `null` beside tool calls.
    content: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl Message<'_> {
    /// Instructions.
    pub(super) fn system(text: String) -> Self {
        Self::new("system", text.into())
    }

    fn new(role: &'static str, content: Value) -> Self {
        Self {
            role,
            content,
            reasoning_content: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// The messages as they are sent; those with nothing to say are left out.
pub(super) fn messages(
    messages: &[Arc<ChatMessage>],
    dialect: Dialect,
) -> Result<Vec<Message<'_>>, LlmError> {
    let mut sent = Vec::with_capacity(messages.len());
    for message in messages {
        match message.role {
            ChatRole::System => sent.push(Message::system(message.all_text())),
            ChatRole::User => sent.push(Message::new("user", user(&message.content)?)),
            ChatRole::Assistant => sent.extend(assistant(message, dialect)),
            ChatRole::Tool => {
                sent.extend(
                    message
                        .content
                        .iter()
                        .filter_map(|part| result(part, dialect)),
                );
            }
        }
    }
    Ok(sent)
}

/// A text wherever that will do: not every server takes parts.
fn user(content: &[Content]) -> Result<Value, LlmError> {
    if content.iter().all(|part| part.as_text().is_some()) {
        let texts = content.iter().filter_map(Content::as_text);
        return Ok(texts.collect::<String>().into());
    }
    let mut parts = Vec::new();
    for part in content {
        match part {
            Content::Text(text) => parts.push(json!({ "type": "text", "text": text })),
            Content::File {
                media_type,
                data,
                name,
            } => parts.push(file(media_type, data, name.as_deref())?),
            Content::Reasoning { .. } | Content::ToolCall { .. } | Content::ToolResult { .. } => {}
        }
    }
    Ok(parts.into())
}

fn file(media_type: &str, data: &FileData, name: Option<&str>) -> Result<Value, LlmError> {
    if let Some(text) = text_file(media_type, data, name) {
        return Ok(json!({ "type": "text", "text": text }));
    }
    Ok(match (media_type, data) {
        (kind, data) if kind.starts_with("image/") => {
            json!({ "type": "image_url", "image_url": { "url": url_of(kind, data) } })
        }
        ("audio/wav" | "audio/x-wav", FileData::Base64(bytes)) => {
            json!({ "type": "input_audio", "input_audio": { "data": bytes, "format": "wav" } })
        }
        ("audio/mpeg" | "audio/mp3", FileData::Base64(bytes)) => {
            json!({ "type": "input_audio", "input_audio": { "data": bytes, "format": "mp3" } })
        }
        ("application/pdf", FileData::Base64(_)) => {
            let name = name.unwrap_or("document.pdf");
            let data = url_of(media_type, data);
            json!({ "type": "file", "file": { "filename": name, "file_data": data } })
        }
        _ => return Err(unsupported("openai", media_type)),
    })
}

/// The place of a tool's file: messages of tools are text here, and a user's message after them
/// shows what it may have. Servers that refuse a user's message after those of tools are given
/// words. <https://platform.openai.com/docs/api-reference/chat/create>
pub(super) fn place(media_type: &str, capabilities: &Capabilities) -> Place {
    let is_taken = is_common_image(media_type)
        || is_text(media_type)
        || matches!(
            media_type,
            "application/pdf" | "audio/wav" | "audio/x-wav" | "audio/mpeg" | "audio/mp3"
        );
    let refuses =
        capabilities.alternates_roles || capabilities.call_ids == KnownIds::NineCharacters;
    match is_taken && !refuses {
        true => Place::User,
        false => Place::Nowhere,
    }
}

fn assistant(message: &ChatMessage, dialect: Dialect) -> Option<Message<'_>> {
    let calls = message.content.iter().filter_map(|part| match part {
        Content::ToolCall {
            id,
            name,
            arguments,
        } => Some(ToolCall {
            id: sent_id(id, dialect),
            r#type: "function",
            function: Function {
                name,
                arguments: arguments_text(arguments),
            },
        }),
        _ => None,
    });
    let tool_calls: Vec<_> = calls.collect();
    let text = message.all_text();
    if text.is_empty() && tool_calls.is_empty() {
        return None;
    }
    let content = if text.is_empty() {
        Value::Null
    } else {
        text.into()
    };
    let takes_reasoning = dialect.takes_reasoning && !tool_calls.is_empty();
    Some(Message {
        reasoning_content: reasoning(&message.content).filter(|_| takes_reasoning),
        tool_calls,
        ..Message::new("assistant", content)
    })
}

/// The reasoning that has no signature, which is how these servers write it.
fn reasoning(content: &[Content]) -> Option<String> {
    let texts = content.iter().filter_map(|part| match part {
        Content::Reasoning {
            text,
            signature: None,
        } => Some(text.as_str()),
        _ => None,
    });
    Some(texts.collect::<String>()).filter(|text| !text.is_empty())
}

fn result(part: &Content, dialect: Dialect) -> Option<Message<'_>> {
    let Content::ToolResult { call_id, text, .. } = part else {
        return None;
    };
    Some(Message {
        tool_call_id: Some(sent_id(call_id, dialect)),
        ..Message::new("tool", text.as_str().into())
    })
}

fn sent_id(id: &str, dialect: Dialect) -> Cow<'_, str> {
    const NINE: usize = 9;
    match dialect.call_ids {
        CallIds::Any => Cow::Borrowed(id),
        CallIds::Nine => call_id(
            id,
            |id| id.len() == NINE && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            NINE,
        ),
    }
}
