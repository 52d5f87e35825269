//! The envelope of all messages in both protocols: `{ type, id, payload }`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Invalid;

/// The maximum length of an operation's id, in bytes: each of its messages repeats it.
const ID_BYTES: usize = 256;

/// The maximum length of an unknown type that is echoed, in bytes.
const KIND_BYTES: usize = 64;

/// A message of which only the type is parsed.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Invalid> {
        // serde would parse a list as the fields in order.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(invalid(None, "A message must be a JSON object"));
        }
        serde_json::from_str(text)
            .map_err(|error| invalid(None, &format!("Invalid message received: {error}")))
    }

    /// Returns the operation's id, part of each message about one.
    pub(super) fn id(&self) -> Result<String, Invalid> {
        let id = self.id.and_then(|id| serde_json::from_str(id.get()).ok());
        let is_sound = |id: &String| !id.is_empty() && id.len() <= ID_BYTES;
        id.filter(is_sound).ok_or_else(|| {
            let kind = self.shown();
            let why = format!("{kind:?} needs an `id`: a string of 1 to {ID_BYTES} bytes");
            invalid(None, &why)
        })
    }

    /// Returns an optional payload: an object, null or nothing.
    pub(super) fn details(&self) -> Result<Option<&'a RawValue>, Invalid> {
        match self.payload {
            Some(payload) if !payload.get().starts_with('{') => Err(self.no_object(None)),
            payload => Ok(payload),
        }
    }

    /// Returns the payload of the operation with this id, which must be an object.
    pub(super) fn operation(&self, id: &str) -> Result<&'a RawValue, Invalid> {
        match self.details() {
            Ok(Some(payload)) => Ok(payload),
            Ok(None) | Err(_) => Err(self.no_object(Some(id))),
        }
    }

    pub(super) fn unknown(&self) -> Invalid {
        let why = format!("{:?} is not a message type of this protocol", self.shown());
        Invalid {
            id: self.id().ok(),
            why,
        }
    }

    /// Returns the beginning of the type; known types are shorter.
    fn shown(&self) -> &str {
        let end = self.kind.floor_char_boundary(KIND_BYTES);
        &self.kind[..end]
    }

    fn no_object(&self, id: Option<&str>) -> Invalid {
        let why = format!("The `payload` of {:?} must be an object", self.shown());
        invalid(id, &why)
    }
}

fn invalid(id: Option<&str>, why: &str) -> Invalid {
    Invalid {
        id: id.map(str::to_owned),
        why: why.to_owned(),
    }
}

/// Encodes a message.
pub(super) fn write(
    kind: &str,
    id: Option<&str>,
    payload: Option<impl Serialize>,
) -> Option<String> {
    #[derive(Serialize)]
    struct Written<'a, P> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<P>,
    }
    match serde_json::to_string(&Written { id, kind, payload }) {
        Ok(text) => Some(text),
        Err(error) => {
            tracing::error!(%error, "failed to encode a message");
            None
        }
    }
}

/// The payload of a message without one.
pub(super) const NOTHING: Option<()> = None;
