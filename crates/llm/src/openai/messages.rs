//! The messages of a chat completions request.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::signed::{BLOCKS, DETAILS, GOOGLE, LITELLM, extra_content, specific_fields};
use crate::Capabilities;
use crate::results::{Place, is_common_image, is_text};
use crate::signed_reasoning::{Bindings, Prefix, Signer, Wanted};
use crate::wire::{arguments_text, call_id, text_file, unsupported, url_of};
use crate::{ChatMessage, ChatRequest, ChatRole, Content, FileData, LlmError};
use talkgraph_domain::capabilities::CallIds;

/// Replaces missing reasoning: some servers treat an empty text as missing.
/// <https://github.com/anomalyco/opencode/issues/10996>
const NO_REASONING: &str = " ";

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    /// A text, an array of parts, or `null` next to tool calls.
    content: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_blocks: Option<Value>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_specific_fields: Option<Value>,
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
            reasoning_details: None,
            thinking_blocks: None,
        }
    }
}

/// The messages of the request: the instructions first, as one, and then the conversation. The
/// content before each answer is added to `prefix`, which decides which of its signed reasoning is
/// sent back.
pub(super) fn messages<'a>(
    request: &ChatRequest,
    system: Option<String>,
    turns: &'a [Arc<ChatMessage>],
    mut prefix: Prefix,
) -> Result<(Vec<Message<'a>>, Bindings), LlmError> {
    let capabilities = &*request.capabilities;
    let mut sent = Vec::with_capacity(turns.len() + 1);
    sent.extend(system.map(Message::system));
    let mut known = 0;
    for message in turns {
        match message.role {
            ChatRole::System => {}
            ChatRole::User => sent.push(Message::new("user", user(&message.content)?)),
            ChatRole::Assistant => {
                sent.iter().skip(known).for_each(|one| prefix.add(one));
                known = sent.len();
                let bindings = prefix.bindings();
                sent.extend(assistant(message, Thoughts { request, bindings }));
            }
            ChatRole::Tool => {
                let results = message.content.iter();
                sent.extend(results.filter_map(|part| result(part, capabilities)));
            }
        }
    }
    sent.iter().skip(known).for_each(|one| prefix.add(one));
    Ok((sent, prefix.bindings()))
}

/// A text where possible: not every server accepts parts.
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

/// The position of a tool's file: tool messages are text here, and a following user message
/// contains the types that it accepts. <https://platform.openai.com/docs/api-reference/chat/create>
pub(super) fn place(media_type: &str) -> Place {
    let is_taken = is_common_image(media_type)
        || is_text(media_type)
        || matches!(
            media_type,
            "application/pdf" | "audio/wav" | "audio/x-wav" | "audio/mpeg" | "audio/mp3"
        );
    match is_taken {
        true => Place::User,
        false => Place::Nowhere,
    }
}

/// The conditions for sending reasoning back with an answer.
struct Thoughts<'a> {
    request: &'a ChatRequest,
    bindings: Bindings,
}

impl Thoughts<'_> {
    fn proof<'a>(&self, signer: Signer, signature: &'a Option<String>) -> Option<&'a str> {
        let past = &self.request.past;
        past.proof(signer, &self.bindings, signature.as_deref())
    }

    /// A list that came signed.
    fn list(&self, signer: Signer, signature: &Option<String>) -> Option<Value> {
        let signer = signer.unless(self.request.capabilities.thinking_bound);
        serde_json::from_str(self.proof(signer, signature)?).ok()
    }
}

fn assistant<'a>(message: &'a ChatMessage, thoughts: Thoughts<'_>) -> Option<Message<'a>> {
    let request = thoughts.request;
    let text = message.all_text();
    let content = match text.is_empty() {
        true => Value::Null,
        false => text.into(),
    };
    let mut sent = Message::new("assistant", content);
    let (mut google, mut litellm) = (None, None);
    for part in &message.content {
        match part {
            Content::Reasoning { signature, .. } => {
                google = thoughts.proof(GOOGLE, signature).or(google);
                litellm = thoughts.proof(LITELLM, signature).or(litellm);
                sent.reasoning_details =
                    thoughts.list(DETAILS, signature).or(sent.reasoning_details);
                sent.thinking_blocks = thoughts.list(BLOCKS, signature).or(sent.thinking_blocks);
            }
            Content::ToolCall {
                id,
                name,
                arguments,
            } => {
                // Of parallel calls only the first has one.
                let is_missed = sent.tool_calls.is_empty() && needs_signature(request, litellm);
                let google = google.take();
                sent.tool_calls.push(ToolCall {
                    id: sent_id(id, &request.capabilities),
                    r#type: "function",
                    function: Function {
                        name,
                        arguments: arguments_text(arguments),
                    },
                    extra_content: (google.is_some() || is_missed).then(|| extra_content(google)),
                    provider_specific_fields: litellm.take().map(specific_fields),
                });
            }
            _ => {}
        }
    }
    if sent.content.is_null() && sent.tool_calls.is_empty() {
        return None;
    }
    let is_required = request.capabilities.reasoning_required && !sent.tool_calls.is_empty();
    let is_wanted = is_required || request.past.wanted() == Wanted::Everything;
    sent.reasoning_content = reasoning(&message.content, is_wanted)
        .filter(|_| goes_back(request, !sent.tool_calls.is_empty()));
    Some(sent)
}

/// Returns true if a call without a signature is refused.
fn needs_signature(request: &ChatRequest, other: Option<&str>) -> bool {
    let is_missed = request.past.wanted() == Wanted::Everything;
    other.is_none() && (is_missed || request.capabilities.needs_signatures)
}

/// Returns true if unsigned reasoning is sent back with an answer.
fn goes_back(request: &ChatRequest, has_calls: bool) -> bool {
    match request.past.wanted() {
        Wanted::Nothing => false,
        Wanted::Everything => true,
        Wanted::Accepted => {
            let known = &request.capabilities;
            known.reasoning_required || (known.reasoning_in_history && has_calls)
        }
    }
}

/// The unsigned reasoning, which is the form of these servers; a blank text if it is required.
fn reasoning(content: &[Content], is_wanted: bool) -> Option<String> {
    let texts = content.iter().filter_map(|part| match part {
        Content::Reasoning {
            text,
            signature: None,
        } => Some(text.as_str()),
        _ => None,
    });
    let text: String = texts.collect();
    match text.is_empty() {
        true => is_wanted.then(|| NO_REASONING.to_owned()),
        false => Some(text),
    }
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
