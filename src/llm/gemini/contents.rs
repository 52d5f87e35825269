//! The conversation of a `generateContent` request.

use serde::Serialize;
use serde_json::{Value, json};

use super::{SIGNED_CALL, SIGNED_TEXT};
use crate::llm::past::{Bindings, Signer};
use crate::llm::turns::{AfterResults, turns};
use crate::llm::wire::arguments_object;
use crate::llm::{ChatRequest, ChatRole, Content, FileData};

/// Stands for the signature of a call that another vendor's model has made, as the vendor
/// says in its questions and answers on thought signatures.
const UNSIGNED: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
pub(super) struct Turn {
    role: &'static str,
    parts: Vec<Value>,
}

/// The turns; instructions have a place of their own. The results of tools are the user's.
pub(super) fn contents(
    request: &ChatRequest,
    needs_signatures: bool,
    bindings: &Bindings,
) -> Vec<Turn> {
    let messages = turns(&request.messages, AfterResults::Answer);
    let proof = |signer, signature: &Option<String>| {
        let proof = request.past.proof(signer, bindings, signature.as_deref());
        proof.map(str::to_owned)
    };
    let mut turns = Vec::<Turn>::with_capacity(messages.len());
    for message in &messages {
        let (role, mut parts) = match message.role {
            ChatRole::System => continue,
            ChatRole::User => ("user", message.content.iter().filter_map(user).collect()),
            ChatRole::Tool => ("user", message.content.iter().filter_map(result).collect()),
            ChatRole::Assistant => ("model", model(&message.content, needs_signatures, &proof)),
        };
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == role => last.parts.append(&mut parts),
            _ => turns.push(Turn { role, parts }),
        }
    }
    turns
}

fn user(part: &Content) -> Option<Value> {
    Some(match part {
        Content::Text(text) => json!({ "text": text }),
        Content::File {
            media_type, data, ..
        } => match data {
            FileData::Base64(bytes) => {
                json!({ "inlineData": { "mimeType": media_type, "data": bytes } })
            }
            FileData::Url(url) => {
                json!({ "fileData": { "mimeType": media_type, "fileUri": url } })
            }
        },
        Content::Reasoning { .. } | Content::ToolCall { .. } | Content::ToolResult { .. } => {
            return None;
        }
    })
}

fn result(part: &Content) -> Option<Value> {
    let Content::ToolResult {
        call_id,
        name,
        text,
        is_error,
    } = part
    else {
        return None;
    };
    let key = if *is_error { "error" } else { "output" };
    Some(json!({ "functionResponse": {
        "id": call_id, "name": name, "response": { key: text },
    } }))
}

fn model(
    content: &[Content],
    needs_signatures: bool,
    proof: &impl Fn(Signer, &Option<String>) -> Option<String>,
) -> Vec<Value> {
    let mut parts = Vec::with_capacity(content.len());
    let mut signature = None;
    let mut is_first = true;
    for part in content {
        match part {
            Content::Text(text) if !text.is_empty() => parts.push(json!({ "text": text })),
            Content::ToolCall {
                id,
                name,
                arguments,
            } => {
                let mut call = json!({ "functionCall": {
                    "id": id, "name": name, "args": arguments_object(arguments),
                } });
                // Of calls made at once, only the first has one.
                let missing = (needs_signatures && is_first).then(|| UNSIGNED.to_owned());
                if let Some(signature) = signature.take().or(missing) {
                    call["thoughtSignature"] = signature.into();
                }
                is_first = false;
                parts.push(call);
            }
            Content::Reasoning {
                signature: signed, ..
            } => {
                signature = proof(SIGNED_CALL, signed).or(signature);
                if let Some(signature) = proof(SIGNED_TEXT, signed) {
                    parts.push(json!({ "text": "", "thoughtSignature": signature }));
                }
            }
            _ => {}
        }
    }
    parts
}
