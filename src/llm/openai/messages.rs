//! The messages of a chat completions request.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::capabilities::CallIds;
use crate::llm::Capabilities;
use crate::llm::wire::{arguments_text, call_id, text_file, unsupported, url_of};
use crate::llm::{ChatMessage, ChatRole, Content, FileData, LlmError};

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
pub(super) fn messages<'a>(
    messages: &'a [Arc<ChatMessage>],
    capabilities: &Capabilities,
) -> Result<Vec<Message<'a>>, LlmError> {
    let mut sent = Vec::with_capacity(messages.len());
    for message in messages {
        match message.role {
            ChatRole::System => sent.push(Message::system(message.all_text())),
            ChatRole::User => sent.push(Message::new("user", user(&message.content)?)),
            ChatRole::Assistant => sent.extend(assistant(message, capabilities)),
            ChatRole::Tool => {
                sent.extend(
                    message
                        .content
                        .iter()
                        .filter_map(|part| result(part, capabilities)),
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

fn assistant<'a>(message: &'a ChatMessage, capabilities: &Capabilities) -> Option<Message<'a>> {
    let calls = message.content.iter().filter_map(|part| match part {
        Content::ToolCall {
            id,
            name,
            arguments,
        } => Some(ToolCall {
            id: sent_id(id, capabilities),
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
    let takes_reasoning = capabilities.reasoning_in_history && !tool_calls.is_empty();
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

fn result<'a>(part: &'a Content, capabilities: &Capabilities) -> Option<Message<'a>> {
    let Content::ToolResult { call_id, text, .. } = part else {
        return None;
    };
    Some(Message {
        tool_call_id: Some(sent_id(call_id, capabilities)),
        ..Message::new("tool", text.as_str().into())
    })
}

fn sent_id<'a>(id: &'a str, capabilities: &Capabilities) -> Cow<'a, str> {
    const NINE: usize = 9;
    match capabilities.call_ids {
        CallIds::Any => Cow::Borrowed(id),
        CallIds::NineCharacters => call_id(
            id,
            |id| id.len() == NINE && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            NINE,
        ),
    }
}
