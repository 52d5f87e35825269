//! The conversation of a Responses request, as items.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::SIGNED;
use crate::conversation::{AfterResults, turns};
use crate::results::{Answered, Place, answered, is_common_image, is_text, placed};
use crate::signed_reasoning::Bindings;
use crate::wire::{arguments_text, call_id, text_file, unsupported, url_of};
use crate::{ChatRequest, ChatRole, Content, FileData, LlmError};

/// The maximum number of characters of an id, and the length of the digest that replaces a longer
/// one.
const ID_CHARS: usize = 64;

/// The items, without the instructions.
pub(super) fn input(request: &ChatRequest, bindings: &Bindings) -> Result<Vec<Value>, LlmError> {
    let turns = turns(&request.messages, AfterResults::Anything);
    let in_results = request.capabilities.images_in_tool_results;
    let turns = placed(turns, AfterResults::Anything, |kind| {
        place(kind, in_results)
    });
    let mut sent = Sent {
        request,
        bindings,
        ids: HashMap::new(),
        items: Vec::with_capacity(turns.len()),
    };
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
                    sent.items.push(json!({ "role": "user", "content": parts }));
                }
            }
            ChatRole::Assistant => sent.assistant(&message.content),
            ChatRole::Tool => {
                for answered in answered(message) {
                    let result = result(sent.id(answered.call_id), &answered)?;
                    sent.items.push(result);
                }
            }
        }
    }
    Ok(sent.items)
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
        return Ok(json!({ "type": "input_image", "image_url": url, "detail": "auto" }));
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

/// The items so far.
struct Sent<'a> {
    request: &'a ChatRequest,
    bindings: &'a Bindings,
    /// The vendor's own ids of calls that follow their reasoning.
    ids: HashMap<String, String>,
    items: Vec<Value>,
}

impl Sent<'_> {
    /// An assistant's items, in their original order.
    fn assistant(&mut self, content: &[Content]) {
        // A reasoning belongs to the item that follows it, and is refused without it.
        let (mut thoughts, mut follower) = (Vec::new(), None);
        for part in content {
            let item = match part {
                Content::Text(text) if !text.is_empty() => {
                    follower = None;
                    json!({ "role": "assistant", "content": text })
                }
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                } => {
                    if let Some(own) = follower.take() {
                        self.ids.insert(id.clone(), own);
                    }
                    json!({
                        "type": "function_call", "call_id": self.id(id), "name": name,
                        "arguments": arguments_text(arguments),
                    })
                }
                Content::Reasoning { text, signature } => {
                    let past = &self.request.past;
                    let proof = past.proof(SIGNED, self.bindings, signature.as_deref());
                    if let Some((thought, call)) = proof.and_then(|proof| reasoning(text, proof)) {
                        thoughts.push(thought);
                        follower = call.map(str::to_owned);
                    }
                    continue;
                }
                _ => continue,
            };
            self.items.append(&mut thoughts);
            self.items.push(item);
        }
    }

    /// The id of a call in the request.
    fn id<'b>(&'b self, id: &'b str) -> Cow<'b, str> {
        match self.ids.get(id) {
            Some(own) => Cow::Borrowed(own),
            None => call_id(id, |id| (1..=ID_CHARS).contains(&id.len()), ID_CHARS),
        }
    }
}

/// A reasoning of this vendor's, and the id of the call that follows it. The proof consists of its
/// own id, its encrypted form, and that id.
fn reasoning<'a>(text: &str, proof: &'a str) -> Option<(Value, Option<&'a str>)> {
    let (id, encrypted) = proof.split_once(':')?;
    let (encrypted, call) = match encrypted.split_once(':') {
        Some((encrypted, call)) => (encrypted, Some(call)),
        None => (encrypted, None),
    };
    let summary = (!text.is_empty()).then(|| json!({ "type": "summary_text", "text": text }));
    let summary: Vec<_> = summary.into_iter().collect();
    let thought = json!({
        "type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted,
    });
    Some((thought, call))
}

/// The position of a tool's file: a result accepts text, images and files, as a user's message
/// does. <https://platform.openai.com/docs/api-reference/responses/create> (`function_call_output`)
fn place(media_type: &str, in_results: bool) -> Place {
    let is_taken =
        is_common_image(media_type) || is_text(media_type) || media_type == "application/pdf";
    match (is_taken, in_results) {
        (false, _) => Place::Nowhere,
        (true, true) => Place::Result,
        (true, false) => Place::User,
    }
}

fn result(call_id: Cow<'_, str>, answered: &Answered<'_>) -> Result<Value, LlmError> {
    let mut output = Value::from(answered.text);
    if !answered.files.is_empty() {
        let mut parts = vec![json!({ "type": "input_text", "text": answered.text })];
        for attached in &answered.files {
            parts.push(file(attached.media_type, attached.data, attached.name)?);
        }
        output = parts.into();
    }
    Ok(json!({ "type": "function_call_output", "call_id": call_id, "output": output }))
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
            result("1".into(), &answered(&message)[0]).unwrap(),
            json!({ "type": "function_call_output", "call_id": "1", "output": [
                { "type": "input_text", "text": "Here." },
                { "type": "input_image", "image_url": "data:image/png;base64,aGk=",
                    "detail": "auto" },
            ] })
        );
        assert_eq!(place("image/png", true), Place::Result);
        assert_eq!(place("image/png", false), Place::User);
        assert_eq!(place("application/zip", true), Place::Nowhere);
    }
}
