//! What vendors make of JSON Schema.

use serde_json::Value;

use super::OutputSchema;

/// Whether every object of a schema names all that it may have, and requires it: what
/// OpenAI and Anthropic ask of a schema before they hold a model to it. Anything else in it
/// is left for them to judge.
pub(super) fn is_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let is_object = match fields.get("type") {
                Some(Value::String(kind)) => kind == "object",
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
                _ => fields.contains_key("properties"),
            };
            (!is_object || is_closed_object(schema)) && fields.values().all(is_closed)
        }
        Value::Array(items) => items.iter().all(is_closed),
        _ => true,
    }
}

fn is_closed_object(schema: &Value) -> bool {
    let required = schema["required"].as_array();
    let is_required =
        |name: &String| required.is_some_and(|names| names.iter().any(|one| one == name));
    let mut properties = schema["properties"].as_object().into_iter().flatten();
    schema["additionalProperties"] == false && properties.all(|(name, _)| is_required(name))
}

/// The schema in words, for models that cannot be held to it.
pub(super) fn instruction(output: &OutputSchema) -> String {
    format!(
        "Answer with a single JSON object and nothing else: no code fence, no explanation. \
         It must be valid against this JSON Schema:\n{}",
        output.schema
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::is_closed;

    #[test]
    fn a_schema_is_closed_when_all_its_objects_are() {
        let closed = json!({
            "type": "object", "required": ["a", "b"], "additionalProperties": false,
            "properties": {
                "a": { "type": "string" },
                "b": { "type": "array", "items": {
                    "type": ["object", "null"], "required": ["c"], "additionalProperties": false,
                    "properties": { "c": { "enum": [1, "two", null] } },
                } },
            },
        });
        assert!(is_closed(&closed));
        for (path, value) in [
            ("/required", json!(["a"])),
            ("/additionalProperties", json!(true)),
            ("/properties/b/items/required", json!([])),
            ("/properties/a", json!({ "type": "object" })),
            ("/properties/a", json!({ "properties": { "x": {} } })),
        ] {
            let mut open = closed.clone();
            *open.pointer_mut(path).unwrap() = value;
            assert!(!is_closed(&open), "{path}");
        }
    }
}
