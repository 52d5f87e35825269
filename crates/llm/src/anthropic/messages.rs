//! The messages of a Messages request.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::{REDACTED, SIGNED};
use crate::conversation::{AfterResults, turns};
use crate::results::{Answered, Place, answered, is_common_image, is_text, placed};
use crate::signed_reasoning::{Bindings, Prefix, Signer, Wanted};
use crate::wire::{arguments_object, call_id, text_file, unsupported};
use crate::{ChatRequest, ChatRole, Content, FileData, LlmError};
use talkgraph_domain::CacheTtl;

/// The length of the digest that replaces an id that is not accepted.
const ID_CHARS: usize = 32;

#[derive(Serialize)]
pub(super) struct Message {
    role: &'static str,
    content: Vec<Value>,
}

/// A text up to which the prompt is cached.
pub(super) fn cached_text(text: &str, ttl: CacheTtl) -> Value {
    let mut block = json!({ "type": "text", "text": text });
    cache(&mut block, ttl);
    block
}

fn cache(block: &mut Value, ttl: CacheTtl) {
    block["cache_control"] = match ttl {
        CacheTtl::FiveMinutes => json!({ "type": "ephemeral" }),
        CacheTtl::Hour => json!({ "type": "ephemeral", "ttl": "1h" }),
        CacheTtl::Off => return,
    };
}

/// The conversation in two alternating roles, as the results of tools belong to the user here. The
/// content before each answer is added to `prefix`, which decides which of its thinking is sent
/// back.
pub(super) fn messages(
    request: &ChatRequest,
    mut prefix: Prefix,
) -> Result<(Vec<Message>, Bindings), LlmError> {
    let turns = turns(&request.messages, AfterResults::Anything);
    let in_results = request.capabilities.images_in_tool_results;
    let turns = placed(turns, AfterResults::Anything, |kind| {
        place(kind, in_results)
    });
    let mut sent = Vec::<Message>::with_capacity(turns.len());
    let (mut known, mut bindings) = (0, prefix.bindings());
    for message in &turns {
        let role = match message.role {
            // Instructions are sent in a field of their own.
            ChatRole::System => continue,
            ChatRole::User | ChatRole::Tool => "user",
            ChatRole::Assistant => "assistant",
        };
        if message.role == ChatRole::Assistant {
            sent.iter().skip(known).for_each(|one| prefix.add(one));
            (known, bindings) = (sent.len(), prefix.bindings());
        }
        let thoughts = Thoughts {
            request,
            bindings: &bindings,
        };
        let mut content = Vec::with_capacity(message.content.len());
        for part in &message.content {
            content.extend(block(message.role, part, thoughts)?);
        }
        for answered in answered(message) {
            content.push(result(&answered)?);
        }
        // No answer may end with thinking, as one that was cut there does.
        while content.last().is_some_and(is_thinking) {
            content.pop();
        }
        match sent.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.append(&mut content),
            _ => sent.push(Message { role, content }),
        }
    }
    sent.iter().skip(known).for_each(|one| prefix.add(one));
    // The last message is the user's: an assistant's may end with thinking, which cannot be marked.
    if let Some(block) = sent.last_mut().and_then(|last| last.content.last_mut()) {
        cache(block, request.cache_ttl);
    }
    Ok((sent, prefix.bindings()))
}

/// Returns true if the calls that are being answered have lost their preceding thinking. Models
/// with a thinking budget then refuse to think; adaptive ones accept it.
/// <https://github.com/anthropics/claude-code/issues/14264>
pub(super) fn lacks_thinking(messages: &[Message]) -> bool {
    let has_results = |message: &Message| {
        let mut blocks = message.content.iter();
        blocks.any(|block| block["type"] == "tool_result")
    };
    let steps = messages
        .iter()
        .rev()
        .take_while(|message| message.role == "assistant" || has_results(message));
    let first = steps.filter(|message| message.role == "assistant").last();
    let begins = |message: &Message| message.content.first().is_some_and(is_thinking);
    messages.last().is_some_and(has_results) && first.is_some_and(|first| !begins(first))
}

fn is_thinking(block: &Value) -> bool {
    matches!(
        block["type"].as_str(),
        Some("thinking" | "redacted_thinking")
    )
}

/// The conditions for sending thinking back.
#[derive(Clone, Copy)]
struct Thoughts<'a> {
    request: &'a ChatRequest,
    bindings: &'a Bindings,
}

impl Thoughts<'_> {
    fn proof<'a>(&self, signer: Signer, signature: Option<&'a str>) -> Option<&'a str> {
        let signer = signer.unless(self.request.capabilities.thinking_bound);
        self.request.past.proof(signer, self.bindings, signature)
    }
}

/// A content as a block of this role; none if the role cannot have it.
fn block(
    role: ChatRole,
    part: &Content,
    thoughts: Thoughts<'_>,
) -> Result<Option<Value>, LlmError> {
    Ok(match (role, part) {
        (ChatRole::User | ChatRole::Assistant, Content::Text(text)) => {
            Some(json!({ "type": "text", "text": text }))
        }
        (ChatRole::Assistant, Content::Reasoning { text, signature }) => {
            thinking(text, signature.as_deref(), thoughts)
        }
        (
            ChatRole::Assistant,
            Content::ToolCall {
                id,
                name,
                arguments,
            },
        ) => Some(json!({
            "type": "tool_use", "id": sent_id(id), "name": name,
            "input": arguments_object(arguments),
        })),
        (
            ChatRole::User,
            Content::File {
                media_type,
                data,
                name,
            },
        ) => Some(file(media_type, data, name.as_deref())?),
        _ => None,
    })
}

/// Thinking that this vendor has signed and accepts.
fn thinking(text: &str, signature: Option<&str>, thoughts: Thoughts<'_>) -> Option<Value> {
    if let Some(signature) = thoughts.proof(SIGNED, signature) {
        return Some(json!({ "type": "thinking", "thinking": text, "signature": signature }));
    }
    if let Some(data) = thoughts.proof(REDACTED, signature) {
        return Some(json!({ "type": "redacted_thinking", "data": data }));
    }
    // Imitations require their models' thinking, signed or not:
    // https://github.com/anomalyco/opencode/issues/24122
    let is_missed = thoughts.request.past.wanted() == Wanted::Everything && !text.is_empty();
    is_missed.then(|| json!({ "type": "thinking", "thinking": text, "signature": "" }))
}

/// The position of a tool's file: a result accepts text, images and documents, as a user's message
/// does. <https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls>
fn place(media_type: &str, in_results: bool) -> Place {
    let is_taken =
        is_common_image(media_type) || is_text(media_type) || media_type == "application/pdf";
    match (is_taken, in_results) {
        (false, _) => Place::Nowhere,
        (true, true) => Place::Result,
        (true, false) => Place::User,
    }
}

fn result(answered: &Answered<'_>) -> Result<Value, LlmError> {
    let mut result = json!({
        "type": "tool_result", "tool_use_id": sent_id(answered.call_id), "content": answered.text,
    });
    if !answered.files.is_empty() {
        let mut blocks = Vec::new();
        // Empty texts are refused.
        if !answered.text.is_empty() {
            blocks.push(json!({ "type": "text", "text": answered.text }));
        }
        for attached in &answered.files {
            blocks.push(file(attached.media_type, attached.data, attached.name)?);
        }
        result["content"] = blocks.into();
    }
    if answered.is_error {
        result["is_error"] = true.into();
    }
    Ok(result)
}

fn file(media_type: &str, data: &FileData, name: Option<&str>) -> Result<Value, LlmError> {
    let source = match data {
        FileData::Base64(bytes) => {
            json!({ "type": "base64", "media_type": media_type, "data": bytes })
        }
        FileData::Url(url) => json!({ "type": "url", "url": url }),
    };
    if media_type.starts_with("image/") {
        return Ok(json!({ "type": "image", "source": source }));
    }
    let source = match text_file(media_type, data, None) {
        Some(text) => json!({ "type": "text", "media_type": "text/plain", "data": text }),
        None if media_type == "application/pdf" => source,
        None => return Err(unsupported("anthropic", media_type)),
    };
    let mut document = json!({ "type": "document", "source": source });
    if let Some(name) = name {
        document["title"] = name.into();
    }
    Ok(document)
}

fn sent_id(id: &str) -> Cow<'_, str> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    call_id(id, |id| !id.is_empty() && id.bytes().all(taken), ID_CHARS)
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
            result(&answered(&message)[0]).unwrap(),
            json!({ "type": "tool_result", "tool_use_id": "1", "content": [
                { "type": "text", "text": "Here." },
                { "type": "image", "source": {
                    "type": "base64", "media_type": "image/png", "data": "aGk=" } },
            ] })
        );
        assert_eq!(place("image/png", true), Place::Result);
        assert_eq!(place("image/png", false), Place::User);
        assert_eq!(place("application/zip", true), Place::Nowhere);
    }
}
