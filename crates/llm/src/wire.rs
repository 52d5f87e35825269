//! Parts of requests that several vendors share.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{ChatMessage, ChatRole, FileData, LlmError};

/// A body as JSON, with the fields that the request adds to it.
pub(super) fn body_bytes(
    body: &impl Serialize,
    extra: &Map<String, Value>,
) -> Result<Vec<u8>, LlmError> {
    let bytes = if extra.is_empty() {
        serde_json::to_vec(body)
    } else {
        // Serialised by way of text, so that numbers keep their form.
        serde_json::to_vec(body)
            .and_then(|text| serde_json::from_slice::<Map<String, Value>>(&text))
            .and_then(|mut fields| {
                merge(&mut fields, extra);
                serde_json::to_vec(&fields)
            })
    };
    bytes.map_err(|_| LlmError::Internal)
}

/// Merges fields into others: objects are merged, null removes a field, and anything else replaces
/// the existing value.
pub(super) fn merge(into: &mut Map<String, Value>, fields: &Map<String, Value>) {
    for (name, value) in fields {
        match (into.get_mut(name), value) {
            (Some(Value::Object(there)), Value::Object(more)) => merge(there, more),
            (_, Value::Null) => {
                into.shift_remove(name);
            }
            (_, value) => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// A call's arguments as an object, which every vendor requires.
pub(super) fn arguments_object(arguments: &str) -> Map<String, Value> {
    serde_json::from_str(arguments).unwrap_or_default()
}

/// A call's arguments as the text of an object.
pub(super) fn arguments_text(arguments: &str) -> &str {
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(_) => arguments,
        Err(_) => "{}",
    }
}

/// A call's id, for vendors that refuse ids of another form. A history may contain calls of another
/// vendor's model; call and result must still have the same id.
pub(super) fn call_id(id: &str, fits: impl FnOnce(&str) -> bool, len: usize) -> Cow<'_, str> {
    if fits(id) {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(id.as_bytes());
    let hex = digest.iter().map(|byte| format!("{byte:02x}"));
    Cow::Owned(hex.collect::<String>().chars().take(len).collect())
}

/// All instructions that are not blank: vendors have one field for them, and the templates of open
/// models accept one message at most, at the beginning.
pub(super) fn instructions(messages: &[Arc<ChatMessage>]) -> Vec<String> {
    let system = messages
        .iter()
        .filter(|message| message.role == ChatRole::System);
    let texts = system.map(|message| message.all_text());
    texts.filter(|text| !text.trim().is_empty()).collect()
}

/// The URL that contains the file itself (RFC 2397), or points to it.
pub(super) fn url_of(media_type: &str, data: &FileData) -> String {
    match data {
        FileData::Base64(bytes) => format!("data:{media_type};base64,{bytes}"),
        FileData::Url(url) => url.clone(),
    }
}

/// A text file's text, for vendors that do not accept such files.
pub(super) fn text_file(media_type: &str, data: &FileData, name: Option<&str>) -> Option<String> {
    let FileData::Base64(bytes) = data else {
        return None;
    };
    if !media_type.starts_with("text/") && media_type != "application/json" {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(bytes).ok()?).ok()?;
    Some(match name {
        Some(name) => format!("File {name:?}:\n{text}"),
        None => text,
    })
}

/// The error of a file that the vendor does not accept.
pub(super) fn unsupported(vendor: &str, media_type: &str) -> LlmError {
    tracing::warn!(
        vendor,
        media_type,
        "file type unsupported by the model provider"
    );
    LlmError::rejected(415)
}
