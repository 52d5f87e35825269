//! The conversation of a Responses request, as items.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::SIGNED;
use crate::llm::past::Bindings;
use crate::llm::turns::{AfterResults, turns};
use crate::llm::wire::{arguments_text, call_id, text_file, unsupported, url_of};
use crate::llm::{ChatRequest, ChatRole, Content, FileData, LlmError};

/// How many characters an id may have, and how many stand for one that has more.
const ID_CHARS: usize = 64;

/// The items; instructions have a place of their own.
pub(super) fn input(request: &ChatRequest, bindings: &Bindings) -> Result<Vec<Value>, LlmError> {
    let turns = turns(&request.messages, AfterResults::Anything);
    let proof = |signature: &Option<String>| {
        let proof = request.past.proof(SIGNED, bindings, signature.as_deref());
        proof.map(str::to_owned)
    };
    let mut items = Vec::with_capacity(turns.len());
    for message in &turns {
        match message.role {
            ChatRole::System => {}
            ChatRole::User => {
                let parts = message
                    .content
                    .iter()
                    .filter_map(user)
                    .collect::<Result<Vec<_>, _>>()?;
                if !parts.is_empty() {
                    items.push(json!({ "role": "user", "content": parts }));
                }
            }
            ChatRole::Assistant => assistant(&message.content, &proof, &mut items),
            ChatRole::Tool => items.extend(message.content.iter().filter_map(result)),
        }
    }
    Ok(items)
}

fn user(part: &Content) -> Option<Result<Value, LlmError>> {
    match part {
        Content::Text(text) => Some(Ok(json!({ "type": "input_text", "text": text }))),
        Content::File {
            media_type,
            data,
            name,
        } => Some(file(media_type, data, name.as_deref())),
        Content::Reasoning { .. } | Content::ToolCall { .. } | Content::ToolResult { .. } => None,
    }
}

fn file(media_type: &str, data: &FileData, name: Option<&str>) -> Result<Value, LlmError> {
    if let Some(text) = text_file(media_type, data, name) {
        return Ok(json!({ "type": "input_text", "text": text }));
    }
    if media_type.starts_with("image/") {
        let url = url_of(media_type, data);
        return Ok(json!({ "type": "input_image", "image_url": url }));
    }
    match data {
        _ if media_type != "application/pdf" => Err(unsupported("openai-responses", media_type)),
        FileData::Url(url) => Ok(json!({ "type": "input_file", "file_url": url })),
        FileData::Base64(_) => Ok(json!({
            "type": "input_file",
            "filename": name.unwrap_or("document.pdf"),
            "file_data": url_of(media_type, data),
        })),
    }
}

/// An assistant's items, in the order in which they were made.
fn assistant(
    content: &[Content],
    proof: &impl Fn(&Option<String>) -> Option<String>,
    items: &mut Vec<Value>,
) {
    // A reasoning goes with what follows it, and is refused alone.
    let mut thoughts = Vec::new();
    for part in content {
        let item = match part {
            Content::Text(text) if !text.is_empty() => {
                json!({ "role": "assistant", "content": text })
            }
            Content::ToolCall {
                id,
                name,
                arguments,
            } => json!({
                "type": "function_call", "call_id": sent_id(id), "name": name,
                "arguments": arguments_text(arguments),
            }),
            Content::Reasoning { text, signature } => {
                thoughts.extend(reasoning(text, proof(signature).as_deref()));
                continue;
            }
            _ => continue,
        };
        items.append(&mut thoughts);
        items.push(item);
    }
}

/// A reasoning of this vendor's. The signature is its id and its encrypted form.
fn reasoning(text: &str, signature: Option<&str>) -> Option<Value> {
    let (id, encrypted) = signature?.split_once(':')?;
    let summary = (!text.is_empty()).then(|| json!({ "type": "summary_text", "text": text }));
    let summary: Vec<_> = summary.into_iter().collect();
    Some(json!({
        "type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted,
    }))
}

fn result(part: &Content) -> Option<Value> {
    let Content::ToolResult { call_id, text, .. } = part else {
        return None;
    };
    let call_id = sent_id(call_id);
    Some(json!({ "type": "function_call_output", "call_id": call_id, "output": text }))
}

fn sent_id(id: &str) -> Cow<'_, str> {
    call_id(id, |id| (1..=ID_CHARS).contains(&id.len()), ID_CHARS)
}
