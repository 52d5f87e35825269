//! Logs, read as strictly as a program could.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// One line of a log.
#[derive(Debug, Clone)]
pub(crate) struct Line(BTreeMap<String, Value>);

impl Line {
    /// A field; null when it is absent.
    pub(crate) fn get(&self, field: &str) -> &Value {
        self.0.get(field).unwrap_or(&Value::Null)
    }

    /// A field that is text; empty when it is absent.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.get(field).as_str().unwrap_or_default()
    }
}

/// The lines of a log, each of which must be one flat object in which no key is twice.
pub(crate) fn lines(log: &str) -> Vec<Line> {
    let line = |line| {
        let read: Result<Line, _> = serde_json::from_str(line);
        let read = read.unwrap_or_else(|error| panic!("{error}: {line}"));
        for always in ["timestamp", "level", "message", "target"] {
            assert!(!read.text(always).is_empty(), "no {always}: {line}");
        }
        read
    };
    log.lines().map(line).collect()
}

/// The lines with this message.
pub(crate) fn saying(log: &str, message: &str) -> Vec<Line> {
    let mut lines = lines(log);
    lines.retain(|line| line.text("message") == message);
    lines
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Line, M::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if value.is_object() || value.is_array() {
                        return Err(M::Error::custom(format!("{key} is not flat")));
                    }
                    if fields.insert(key.clone(), value).is_some() {
                        return Err(M::Error::custom(format!("{key} is there twice")));
                    }
                }
                Ok(Line(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
