//! Descriptions of constraints that a vendor does not accept: a model may follow them nevertheless.

use serde_json::{Map, Value};

/// The longest value that is repeated, in bytes of JSON.
const VALUE_BYTES: usize = 240;

/// The longest list of left out constraints of one schema, in bytes.
const WORDS_BYTES: usize = 1_000;

/// Keywords that mean nothing to a model, or belong to a dialect.
const SILENT: &[&str] = &[
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$vocabulary",
    "$comment",
    "$defs",
    "definitions",
    "nullable",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "example",
];

/// The keywords of JSON Schema, in any draft, that are described.
const SPOKEN: &[&str] = &[
    "default",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "additionalItems",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contentEncoding",
    "contentMediaType",
    "enum",
    "const",
    "not",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "required",
    "properties",
    "$ref",
];

/// Returns true for a keyword that means nothing to a model.
pub(super) fn is_silent(keyword: &str) -> bool {
    SILENT.contains(&keyword)
}

/// The left out constraints of one schema.
#[derive(Debug, Default)]
pub(super) struct Words(String);

impl Words {
    /// Adds a keyword, unless it means nothing to a model or belongs to no dialect.
    pub(super) fn add(&mut self, keyword: &str, value: &Value) {
        if !SPOKEN.contains(&keyword) {
            return;
        }
        let value = match value {
            Value::String(text) => shortened(text.clone()),
            value => shortened(value.to_string()),
        };
        self.say(&format!("{keyword}: {value}"));
    }

    /// Adds a text unchanged.
    pub(super) fn say(&mut self, words: &str) {
        if self.0.len() + words.len() > WORDS_BYTES {
            return;
        }
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(words);
    }

    /// Appends the list to a schema's description.
    pub(super) fn write(self, schema: &mut Map<String, Value>) {
        if self.0.is_empty() {
            return;
        }
        let said = schema.get("description").and_then(Value::as_str);
        let text = match said.filter(|said| !said.is_empty()) {
            Some(said) => format!("{said} ({})", self.0),
            None => self.0,
        };
        schema.insert("description".to_owned(), text.into());
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > VALUE_BYTES {
        text.truncate(text.floor_char_boundary(VALUE_BYTES));
        text.push('…');
    }
    text
}
