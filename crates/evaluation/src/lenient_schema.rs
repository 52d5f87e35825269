//! JSON Schemas of other programs, compiled as far as they are valid.
//!
//! A tool server's schema cannot be changed here, and an error in one keyword is no reason to do
//! without the tool. Invalid keywords are removed one by one; the rest is validated.

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::schema::build;

/// The maximum number of keywords that are removed from one schema.
const MENDS: usize = 32;

/// The keywords of references, whose targets may be absent.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// The keywords whose values are not schemas.
const DATA: [&str; 4] = ["enum", "const", "default", "examples"];

/// Compiles a schema, or the valid part of it: at least that a value is an object. Returns the
/// schema that was compiled.
pub(super) fn compile_lenient(schema: &Value) -> (Value, Option<Validator>) {
    if let Ok(validator) = build(schema, None) {
        return (schema.clone(), Some(validator));
    }
    // Before draft 2020-12 `items` could be a list, and `exclusiveMinimum` a boolean.
    for (draft, dialect) in [
        (Draft::Draft7, "http://json-schema.org/draft-07/schema#"),
        (Draft::Draft4, "http://json-schema.org/draft-04/schema#"),
    ] {
        if let Ok(validator) = build(schema, Some(draft)) {
            let mut schema = schema.clone();
            if let Value::Object(fields) = &mut schema {
                fields.insert("$schema".to_owned(), dialect.into());
            }
            return (schema, Some(validator));
        }
    }
    let mut mended = schema.clone();
    let whole = mended.clone();
    forget_absent(&mut mended, &whole);
    for _ in 0..MENDS {
        let error = match build(&mended, None) {
            Ok(validator) => return (mended, Some(validator)),
            Err(error) => error,
        };
        let place = error.instance_path().as_str().to_owned();
        if !remove(&mut mended, &place) && !remove_patterns(&mut mended) {
            break;
        }
    }
    let any = json!({ "type": "object" });
    let validator = build(&any, None).ok();
    (any, validator)
}

/// Removes references without a target in the document, and nested dialects.
fn forget_absent(schema: &mut Value, whole: &Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|keyword, value| match value.as_str() {
                Some(reference) if REFERENCES.contains(&keyword.as_str()) => {
                    is_there(reference, whole)
                }
                Some(_) => !matches!(keyword.as_str(), "$schema" | "$id" | "id"),
                None => true,
            });
            for (keyword, value) in fields {
                if !DATA.contains(&keyword.as_str()) {
                    forget_absent(value, whole);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget_absent(item, whole)),
        _ => {}
    }
}

fn is_there(reference: &str, whole: &Value) -> bool {
    let pointer = reference.strip_prefix('#');
    pointer.is_some_and(|pointer| whole.pointer(pointer).is_some())
}

/// Removes the keyword at a position, or the one whose list contains it.
fn remove(schema: &mut Value, place: &str) -> bool {
    let mut place = place;
    while let Some((parent, name)) = place.rsplit_once('/') {
        if let Some(Value::Object(fields)) = schema.pointer_mut(parent) {
            let name = name.replace("~1", "/").replace("~0", "~");
            return fields.shift_remove(&name).is_some();
        }
        place = parent;
    }
    false
}

/// Removes invalid regular expressions.
fn remove_patterns(schema: &mut Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|keyword, value| keyword != "pattern" || is_readable(value));
            let mut changed = fields.len() != before;
            if let Some(Value::Object(patterns)) = fields.get_mut("patternProperties") {
                let before = patterns.len();
                patterns.retain(|pattern, _| is_readable(&Value::String(pattern.clone())));
                changed |= patterns.len() != before;
            }
            for value in fields.values_mut() {
                changed |= remove_patterns(value);
            }
            changed
        }
        Value::Array(items) => {
            let changed: Vec<_> = items.iter_mut().map(remove_patterns).collect();
            changed.contains(&true)
        }
        _ => false,
    }
}

fn is_readable(pattern: &Value) -> bool {
    // The value of a property named `pattern` is a schema here.
    let Value::String(_) = pattern else {
        return true;
    };
    let schema = Map::from_iter([("pattern".to_owned(), pattern.clone())]);
    build(&Value::Object(schema), None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(schema: &Value) -> (Value, Validator) {
        let (mended, validator) = compile_lenient(schema);
        (mended, validator.unwrap())
    }

    #[test]
    fn invalid_keywords_are_removed_and_the_rest_is_validated() {
        let with = |more: Value| {
            let mut schema = json!({ "type": "object", "required": ["n"],
                "properties": { "n": { "type": "integer" } } });
            for (name, property) in more.as_object().unwrap() {
                schema["properties"][name] = property.clone();
            }
            schema
        };
        let mut dialect = with(json!({}));
        dialect["$schema"] = "https://example.com/my-dialect".into();
        let mut absent = with(json!({}));
        absent["$id"] = "not a uri: %%".into();
        for schema in [
            dialect,
            absent,
            with(json!({ "p": { "type": "string", "pattern": "(?P<year>[" } })),
            with(
                json!({ "p": { "type": "string", "pattern": "\\p{Odd}" }, "q": { "pattern": "(" } }),
            ),
            with(json!({ "p": { "type": "any" }, "q": { "type": "String" } })),
            with(json!({ "p": { "enum": "a" }, "q": { "required": true } })),
            with(json!({ "p": { "$ref": "https://example.com/x.json" } })),
            with(json!({ "p": { "$ref": "#/$defs/absent" } })),
            with(json!({ "p": { "properties": null }, "q": 7, "r": null })),
            with(json!({ "p": { "patternProperties": { "(": {} } } })),
            with(json!({ "p": { "items": [{ "type": "string" }], "additionalItems": false } })),
            with(json!({ "p": { "type": "number", "minimum": 1, "exclusiveMinimum": true } })),
            with(json!({ "pattern": { "type": "string" }, "p": { "minLength": "3" } })),
        ] {
            let (mended, validator) = mended(&schema);
            assert!(validator.is_valid(&json!({ "n": 1 })), "{mended}");
            assert!(!validator.is_valid(&json!({ "n": "x" })), "{mended}");
            assert!(!validator.is_valid(&json!({})), "{mended}");
        }
    }

    #[test]
    fn worst_schema_keeps_some_content() {
        let bad: Map<_, _> = (0..200)
            .map(|n| (format!("p{n}"), json!({ "type": 7 })))
            .collect();
        for schema in [
            json!(7),
            json!({ "properties": bad }),
            json!({ "type": 7, "$ref": 8 }),
        ] {
            let (_, validator) = mended(&schema);
            assert!(validator.is_valid(&json!({})));
        }
    }
}
