//! Parsing of servers' messages. Malformed ones are repaired if possible. An unreadable one becomes
//! the failure of the call that it answers, which nothing else would ever end.

use rmcp::model::{ErrorData, RequestId, ServerJsonRpcMessage};
use serde_json::{Map, Value, json};

/// The longest part of an unreadable message that is shown, in bytes.
const SHOWN_BYTES: usize = 200;

/// The meaning of a text from a server.
#[derive(Debug)]
pub(super) enum Reading {
    /// A message, unchanged or repaired.
    Message(Box<ServerJsonRpcMessage>),
    /// An answer to this request that cannot be read.
    Unreadable(RequestId, String),
    /// A line that no request waits for: an empty line, other output of a program, or an unknown
    /// notification.
    Nothing,
}

impl Reading {
    /// The message; an unreadable one becomes the failure of its request.
    pub(super) fn message(self) -> Option<ServerJsonRpcMessage> {
        match self {
            Self::Message(message) => Some(*message),
            Self::Unreadable(id, why) => Some(unreadable(id, &why)),
            Self::Nothing => None,
        }
    }
}

/// The failure of a request whose answer cannot be read.
pub(super) fn unreadable(id: RequestId, why: &str) -> ServerJsonRpcMessage {
    let text = format!("the MCP server's answer cannot be read: {why}");
    ServerJsonRpcMessage::error(ErrorData::internal_error(text, None), Some(id))
}

/// Parses a text while these requests wait for answers. An answer without a usable id belongs to
/// the only request that waits; if several wait, it is dropped, because answers must never be mixed
/// up.
pub(super) fn read(text: &[u8], waiting: &[RequestId]) -> Reading {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = text.trim_ascii();
    if text.is_empty() {
        return Reading::Nothing;
    }
    if let Ok(message) = serde_json::from_slice(text) {
        return Reading::Message(Box::new(addressed(message, waiting)));
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => repaired(fields, waiting),
        Ok(other) => no_message(&other.to_string(), waiting),
        Err(_) => no_message(&String::from_utf8_lossy(text), waiting),
    }
}

/// Gives an error without an id to the only request that waits.
fn addressed(mut message: ServerJsonRpcMessage, waiting: &[RequestId]) -> ServerJsonRpcMessage {
    if let (ServerJsonRpcMessage::Error(error), [only]) = (&mut message, waiting) {
        error.id.get_or_insert_with(|| only.clone());
    }
    message
}

/// Repairs an object that is not a valid message.
fn repaired(mut fields: Map<String, Value>, waiting: &[RequestId]) -> Reading {
    fields.insert("jsonrpc".to_owned(), json!("2.0"));
    // Several servers send both fields of an answer, one of them null.
    for (null, other) in [("error", "result"), ("result", "error")] {
        let is_null = fields.get(null).is_some_and(Value::is_null);
        if is_null && fields.get(other).is_some_and(|value| !value.is_null()) {
            fields.remove(null);
        }
    }
    let id = fields.get("id").and_then(id_of);
    if let Some(id) = &id {
        fields.insert("id".to_owned(), id.clone().into_json_value());
    }
    let answers = fields.contains_key("result") || fields.contains_key("error");
    let is_answer = answers || (id.is_some() && !fields.contains_key("method"));
    let object = Value::Object(fields);
    if let Ok(message) = serde_json::from_value(object.clone()) {
        return Reading::Message(Box::new(addressed(message, waiting)));
    }
    if !is_answer {
        return Reading::Nothing;
    }
    let of = |id: RequestId| waiting.iter().find(|waiting| same(waiting, &id)).cloned();
    match (id, waiting) {
        (Some(id), _) => match of(id) {
            Some(id) => Reading::Unreadable(id, shown(&object.to_string())),
            None => Reading::Nothing,
        },
        (None, [only]) => Reading::Unreadable(only.clone(), shown(&object.to_string())),
        (None, _) => Reading::Nothing,
    }
}

/// Classifies a text that is not a JSON object. Programs print lines of their own to standard
/// output, so only a text that was meant to be a message ends a call.
fn no_message(text: &str, waiting: &[RequestId]) -> Reading {
    if !(text.starts_with(['{', '[']) && text.contains("\"jsonrpc\"")) {
        return Reading::Nothing;
    }
    let named = written_id(text);
    let id = match (named, waiting) {
        (Some(id), _) => waiting.iter().find(|waiting| same(waiting, &id)),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    match id {
        Some(id) => Reading::Unreadable(id.clone(), shown(text)),
        None => Reading::Nothing,
    }
}

/// The number after `"id":` in a text that is not JSON.
fn written_id(text: &str) -> Option<RequestId> {
    let (_, rest) = text.split_once("\"id\"")?;
    let rest = rest.trim_start().strip_prefix(':')?;
    let rest = rest.trim_start().trim_start_matches('"');
    let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
    rest.get(..end)?.parse().ok().map(RequestId::Number)
}

/// An id in any of the forms that servers use.
fn id_of(value: &Value) -> Option<RequestId> {
    match value {
        Value::String(text) => Some(RequestId::String(text.as_str().into())),
        Value::Number(number) => number.as_i64().map(RequestId::Number).or_else(|| {
            let text = number.to_string();
            let (whole, fraction) = text.split_once('.')?;
            let is_whole = fraction.bytes().all(|digit| digit == b'0');
            let whole = whole.parse().ok().filter(|_| is_whole);
            whole.map(RequestId::Number)
        }),
        _ => None,
    }
}

/// Returns true when two ids belong to one request, also where a number came back as a text.
pub(super) fn same(one: &RequestId, other: &RequestId) -> bool {
    one == other || one.to_string() == other.to_string()
}

fn shown(text: &str) -> String {
    crate::output::shortened(text, SHOWN_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The request that a text answers, and true if the text can be read.
    fn answers(text: &str, waiting: &[i64]) -> Option<(String, bool)> {
        let waiting: Vec<_> = waiting.iter().copied().map(RequestId::Number).collect();
        match read(text.as_bytes(), &waiting) {
            Reading::Message(message) => match *message {
                ServerJsonRpcMessage::Response(answer) => Some((answer.id.to_string(), true)),
                ServerJsonRpcMessage::Error(error) => Some((error.id?.to_string(), true)),
                _ => None,
            },
            Reading::Unreadable(id, _) => Some((id.to_string(), false)),
            Reading::Nothing => None,
        }
    }

    #[test]
    fn sloppy_answers_are_read() {
        let result = r#""result":{"content":[]}"#;
        for text in [
            format!(r#"{{"jsonrpc":"2.0","id":7,{result}}}"#),
            format!("\u{feff}{{\"id\":7,{result}}}  "),
            format!(r#"{{"jsonrpc":"1.0","id":7.0,{result}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":"7",{result},"error":null}}"#),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"},"result":null}"#.to_owned(),
        ] {
            assert_eq!(answers(&text, &[7]), Some(("7".to_owned(), true)), "{text}");
        }
    }

    #[test]
    fn unreadable_answers_end_their_request() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#,
            r#"{"jsonrpc":"2.0","id":[7],"result":{"content":[]}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":["#,
            r#"{"jsonrpc":"2.0", "id" : "7", "result": NaN}"#,
            r#"[{"jsonrpc":"2.0","result":{}}"#,
        ] {
            assert_eq!(answers(text, &[7]), Some(("7".to_owned(), false)), "{text}");
        }
    }

    #[test]
    fn unrelated_messages_end_no_call() {
        for text in [
            "",
            "listening on port 3000",
            "{",
            r#"{"level":"info","msg":"started"}"#,
            "<html>",
            r#"{"jsonrpc":"2.0","id":9}"#,
            r#"{"jsonrpc":"2.0","id":9,"result":{"content":["#,
            r#"{"jsonrpc":"2.0","method":"notifications/unknown","params":7}"#,
        ] {
            assert_eq!(answers(text, &[7]), None, "{text}");
        }
        let lost = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"},"id":null}"#;
        assert_eq!(answers(lost, &[7, 8]), None);
        assert_eq!(
            answers(r#"{"jsonrpc":"2.0","id":null,"result":3"#, &[7, 8]),
            None
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text: String, ids in proptest::collection::vec(0_i64..5, 0..3)) {
            let _ = answers(&text, &ids);
            let _ = answers(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{text}"), &ids);
        }
    }
}
