//! Detection of schemas whose cost is linear in their size and the value's, without compiling them.

use serde_json::{Map, Value};

/// The deepest plain schema.
const DEPTH: u32 = 32;

/// The largest plain schema, in bytes of JSON: it is compiled at once.
const SCHEMA_BYTES: usize = 16_384;

/// Keywords without subschemas that visit each part of a value once.
const LEAVES: [&str; 25] = [
    "type",
    "required",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$schema",
];

/// Keywords with one schema.
const SCHEMAS: [&str; 3] = ["items", "additionalProperties", "not"];

/// Keywords with a list of schemas. Without references each visits a value once.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// Formats that are read in one pass, without a regular expression.
const FORMATS: [&str; 9] = [
    "date",
    "date-time",
    "time",
    "email",
    "uri",
    "uuid",
    "ipv4",
    "ipv6",
    "hostname",
];

/// Returns true for a schema that is a tree of keywords that visit each part of a value once: no
/// references, regular expressions, comparisons of items with each other, or keywords that depend
/// on the results of others.
pub(super) fn is_plain(schema: &Value, bytes: usize) -> bool {
    bytes <= SCHEMA_BYTES && is_tree(schema, DEPTH)
}

fn is_tree(schema: &Value, depth: u32) -> bool {
    match (schema, depth.checked_sub(1)) {
        (Value::Bool(_), _) => true,
        (Value::Object(keywords), Some(depth)) => keywords
            .iter()
            .all(|(keyword, value)| is_linear(keyword, value, depth)),
        _ => false,
    }
}

fn is_linear(keyword: &str, value: &Value, depth: u32) -> bool {
    let all = |schemas: &[Value]| schemas.iter().all(|schema| is_tree(schema, depth));
    let each = |schemas: &Map<String, Value>| schemas.values().all(|one| is_tree(one, depth));
    match value {
        Value::Object(schemas) if keyword == "properties" => each(schemas),
        Value::String(format) if keyword == "format" => FORMATS.contains(&format.as_str()),
        // In earlier drafts `items` may be a list.
        Value::Array(schemas) if keyword == "items" || LISTS.contains(&keyword) => all(schemas),
        schema if SCHEMAS.contains(&keyword) => is_tree(schema, depth),
        _ => LEAVES.contains(&keyword),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_trees_are_plain() {
        let deep = (0..40).fold(json!({}), |inner, _| json!({ "items": inner }));
        for (schema, expected) in [
            (json!(true), true),
            (
                json!({ "type": "object", "properties": { "a": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }),
                true,
            ),
            (
                json!({ "properties": { "$ref": { "type": "string" } } }),
                true,
            ),
            (json!({ "type": "string", "format": "date" }), true),
            (json!({ "$defs": {} }), false),
            (json!({ "$ref": "#" }), false),
            (json!({ "properties": { "a": { "pattern": "a" } } }), false),
            (json!({ "items": { "uniqueItems": true } }), false),
            (json!({ "format": "regex" }), false),
            (json!({ "anyOf": [{ "patternProperties": {} }] }), false),
            (json!({ "unevaluatedProperties": false }), false),
            (json!({ "dependencies": {} }), false),
            (json!({ "not": 7 }), false),
            (json!(7), false),
            (deep, false),
        ] {
            assert_eq!(is_plain(&schema, 100), expected, "{schema}");
        }
        assert!(!is_plain(&json!({}), SCHEMA_BYTES + 1));
    }
}
