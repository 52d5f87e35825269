//! An answer's body: events, or JSON in one piece.

use super::parts::{Parts, ReadError};
use super::protocol::Decode;
use super::sse::{SseDecoder, SseError, SseEvent};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The reader of a body.
pub(super) struct Reader {
    form: Form,
    /// The limit for an event or a JSON body, in bytes.
    limit: usize,
    decoder: Box<dyn Decode>,
}

enum Form {
    /// The form is not known yet. The beginning decides, not the content type: gateways send events
    /// as `text/plain` or `application/json`, and whole JSON as `text/event-stream`.
    Unknown {
        /// Bytes that may be the beginning of a byte order mark.
        head: Vec<u8>,
    },
    /// Server-sent events, as requested.
    Events(SseDecoder),
    /// JSON: some proxies do not stream.
    Json {
        /// The bytes so far.
        body: Vec<u8>,
    },
}

impl Reader {
    /// Creates a reader that refuses events, or a JSON body, of more than `limit` bytes.
    pub(super) fn new(limit: usize, decoder: Box<dyn Decode>) -> Self {
        let form = Form::Unknown { head: Vec::new() };
        Self {
            form,
            limit,
            decoder,
        }
    }

    /// The number of signs of life so far.
    pub(super) fn signs(&self) -> u64 {
        match &self.form {
            Form::Events(events) => events.signs(),
            Form::Unknown { .. } | Form::Json { .. } => 0,
        }
    }

    /// Reads a piece of the body.
    pub(super) fn read(&mut self, bytes: &[u8], parts: &mut Parts) -> Result<(), ReadError> {
        match &mut self.form {
            Form::Unknown { head } => {
                head.extend_from_slice(bytes);
                let begun = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
                if begun.is_empty() || BOM.starts_with(begun) {
                    // White space, with which some keep a connection open, needs no memory.
                    *head = begun.to_vec();
                    return Ok(());
                }
                let begun = begun.to_vec();
                self.form = match begun.first() {
                    Some(b'{' | b'[') => Form::Json { body: Vec::new() },
                    _ => Form::Events(SseDecoder::new(self.limit)),
                };
                self.read(&begun, parts)
            }
            Form::Events(events) => events.feed(bytes, |event| {
                // Events after the last one are ignored.
                if parts.is_done() || event.data.trim_ascii().is_empty() {
                    return Ok(());
                }
                self.decoder.event(event, parts)
            }),
            Form::Json { body } if body.len() + bytes.len() > self.limit => {
                Err(SseError::TooLarge { limit: self.limit }.into())
            }
            Form::Json { body } => {
                body.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Ends the body.
    pub(super) fn end(&mut self, parts: &mut Parts) -> Result<(), ReadError> {
        let body = match &mut self.form {
            Form::Unknown { .. } => return Ok(()),
            // Some omit the blank line after the last event.
            Form::Events(_) => return self.read(b"\n\n", parts),
            Form::Json { body } => std::mem::take(body),
        };
        let body = match String::from_utf8(body) {
            Ok(body) => body,
            Err(error) => super::json_repair::utf8(error.as_bytes()),
        };
        self.json(&body, parts)
    }

    /// JSON in one piece, or several in a row: events without their `data:`, or a list of them.
    fn json(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError> {
        let values = values(body);
        match values.as_slice() {
            [] | [_] => self.decoder.whole(body.trim(), parts),
            many => many.iter().try_for_each(|data| {
                let name = "message";
                match parts.is_done() {
                    true => Ok(()),
                    false => self.decoder.event(SseEvent { name, data }, parts),
                }
            }),
        }
    }
}

/// The objects of a body; none if the body is something else.
fn values(body: &str) -> Vec<&str> {
    type Raw<'a> = &'a serde_json::value::RawValue;
    if let Ok(list) = serde_json::from_str::<Vec<Raw<'_>>>(body) {
        return list.into_iter().map(|value| value.get()).collect();
    }
    let values = serde_json::Deserializer::from_str(body).into_iter::<Raw<'_>>();
    let read: Result<Vec<_>, _> = values.map(|value| value.map(|value| value.get())).collect();
    read.unwrap_or_default()
}
