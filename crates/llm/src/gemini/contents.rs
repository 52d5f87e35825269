//! The conversation of a `generateContent` request.

use serde::Serialize;
use serde_json::{Value, json};

use super::{SIGNED_CALL, SIGNED_TEXT};
use crate::conversation::{AfterResults, turns};
use crate::results::{Answered, Place, answered, placed};
use crate::signed_reasoning::{Bindings, Signer};
use crate::wire::arguments_object;
use crate::{ChatRequest, ChatRole, Content, FileData};

/// Replaces the signature of a call that another vendor's model has made, as the vendor documents
/// in its questions and answers on thought signatures.
const UNSIGNED: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
pub(super) struct Turn {
    role: &'static str,
    parts: Vec<Value>,
}

/// The turns, without the instructions. The results of tools belong to the user's turns.
pub(super) fn contents(
    request: &ChatRequest,
    needs_signatures: bool,
    bindings: &Bindings,
) -> Vec<Turn> {
    let messages = turns(&request.messages, AfterResults::Answer);
    let in_results = request.capabilities.images_in_tool_results;
    let messages = placed(messages, AfterResults::Answer, |kind| {
        place(kind, in_results)
    });
    let proof = |signer, signature: &Option<String>| {
        let proof = request.past.proof(signer, bindings, signature.as_deref());
        proof.map(str::to_owned)
    };
    let mut turns = Vec::<Turn>::with_capacity(messages.len());
    for message in &messages {
        let (role, mut parts) = match message.role {
            ChatRole::System => continue,
            ChatRole::User => ("user", message.content.iter().filter_map(user).collect()),
            ChatRole::Tool => ("user", answered(message).iter().map(result).collect()),
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

/// The position of a tool's file. From Gemini 3 on a function's response accepts images, PDF and
/// plain text; a user's message may contain all configured types.
/// <https://ai.google.dev/gemini-api/docs/function-calling> (multimodal function responses)
fn place(media_type: &str, in_results: bool) -> Place {
    let in_response = matches!(
        media_type,
        "image/png" | "image/jpeg" | "image/webp" | "application/pdf" | "text/plain"
    );
    let kind = media_type.split('/').next().unwrap_or_default();
    let is_taken = media_type != "image/svg+xml"
        && (matches!(kind, "image" | "audio" | "video" | "text")
            || matches!(media_type, "application/pdf" | "application/json"));
    match is_taken {
        true if in_results && in_response => Place::Result,
        true => Place::User,
        false => Place::Nowhere,
    }
}

fn result(answered: &Answered<'_>) -> Value {
    let key = if answered.is_error { "error" } else { "output" };
    let mut response = json!({ "functionResponse": {
        "id": answered.call_id, "name": answered.name, "response": { key: answered.text },
    } });
    let parts = answered.files.iter().filter_map(|file| match file.data {
        FileData::Base64(bytes) => {
            Some(json!({ "inlineData": { "mimeType": file.media_type, "data": bytes } }))
        }
        FileData::Url(_) => None,
    });
    let parts: Vec<_> = parts.collect();
    if !parts.is_empty() {
        response["functionResponse"]["parts"] = parts.into();
    }
    response
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
                // Of parallel calls, only the first has one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{file as sample, result as given, says};

    #[test]
    fn image_of_a_result_is_within_it() {
        let content = vec![
            given("1", "camera", "Here.", false),
            sample("image/png", None),
        ];
        let message = says(ChatRole::Tool, content);
        assert_eq!(
            result(&answered(&message)[0]),
            json!({ "functionResponse": {
                "id": "1", "name": "camera", "response": { "output": "Here." },
                "parts": [{ "inlineData": { "mimeType": "image/png", "data": "aGk=" } }],
            } })
        );
        assert_eq!(place("image/png", true), Place::Result);
        assert_eq!(place("image/png", false), Place::User);
        assert_eq!(place("application/zip", true), Place::Nowhere);
    }
}
