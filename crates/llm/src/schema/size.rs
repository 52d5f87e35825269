//! The quantities of a schema that vendors limit.

use serde_json::Value;

use super::rules::Limits;

/// The size of a reduced schema, in the units of vendors.
#[derive(Debug, Default)]
pub(super) struct Size {
    depth: usize,
    properties: usize,
    optional: usize,
    pub(super) unions: usize,
    enum_values: usize,
    characters: usize,
}

impl Size {
    pub(super) fn of(schema: &Value) -> Self {
        let mut size = Self::default();
        size.count(schema, 0);
        size
    }

    pub(super) fn is_within(&self, limits: &Limits) -> bool {
        self.depth <= limits.depth
            && self.properties <= limits.properties
            && self.optional <= limits.optional
            && self.unions <= limits.unions
            && self.enum_values <= limits.enum_values
            && self.characters <= limits.characters
    }

    fn count(&mut self, schema: &Value, depth: usize) {
        self.depth = self.depth.max(depth);
        let Value::Object(fields) = schema else {
            return;
        };
        if fields.contains_key("anyOf") || fields.get("type").is_some_and(Value::is_array) {
            self.unions += 1;
        }
        let required = fields.get("required").and_then(Value::as_array);
        for (keyword, value) in fields {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    self.properties += properties.len();
                    let required = required.map_or(0, Vec::len);
                    self.optional += properties.len().saturating_sub(required);
                    for (name, property) in properties {
                        self.characters += name.chars().count();
                        self.count(property, depth + 1);
                    }
                }
                ("$defs", Value::Object(definitions)) => {
                    for (name, definition) in definitions {
                        self.characters += name.chars().count();
                        self.count(definition, depth + 1);
                    }
                }
                ("items" | "additionalProperties", value) => self.count(value, depth + 1),
                ("anyOf" | "prefixItems", Value::Array(schemas)) => {
                    for schema in schemas {
                        self.count(schema, depth);
                    }
                }
                ("enum", Value::Array(values)) => {
                    self.enum_values += values.len();
                    let texts = values.iter().filter_map(Value::as_str);
                    self.characters += texts.map(|text| text.chars().count()).sum::<usize>();
                }
                ("const", Value::String(text)) => self.characters += text.chars().count(),
                _ => {}
            }
        }
    }
}
