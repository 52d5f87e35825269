//! JSON Schema: what arguments and answers must look like, and what is wrong with them.

use std::fmt::Write;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;
use thiserror::Error;

use super::output::shortened;

/// The largest schema, in bytes of JSON: it is sent to the model with every call.
pub(super) const SCHEMA_BYTES: usize = 65_536;

/// The most problems that one error names: enough to mend several mistakes at once.
const PROBLEMS: usize = 3;

/// The longest description of one problem, in bytes.
const PROBLEM_BYTES: usize = 240;

/// How far a pattern of a schema may backtrack over one value.
const BACKTRACK_STEPS: usize = 100_000;

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// Larger than it may be.
    #[error("the JSON Schema has {0} bytes; at most {SCHEMA_BYTES} are allowed")]
    TooLarge(usize),
    /// Not a JSON Schema, or one that needs another document.
    #[error("not a usable JSON Schema: {0}")]
    Invalid(String),
    /// Arguments are an object, to every provider.
    #[error("the JSON Schema of arguments must have \"type\": \"object\"")]
    NotAnObject,
}

/// Arguments that a schema does not allow: each problem with its place, as a JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ArgumentError(pub(super) String);

/// Refuses arguments that are larger than `most` bytes of JSON.
pub(super) fn check_size(arguments: &Value, most: usize) -> Result<(), ArgumentError> {
    let bytes = arguments.to_string().len();
    match bytes > most {
        true => Err(ArgumentError(format!(
            "they have {bytes} bytes of JSON; at most {most} are allowed"
        ))),
        false => Ok(()),
    }
}

/// A checked schema.
#[derive(Debug)]
pub(super) struct Schema {
    validator: Validator,
}

impl Schema {
    /// Checks a schema. Nothing is fetched: a `$ref` must stay within it.
    pub(super) fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let bytes = schema.to_string().len();
        if bytes > SCHEMA_BYTES {
            return Err(SchemaError::TooLarge(bytes));
        }
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_STEPS))
            .build(schema)
            .map_err(|error| {
                SchemaError::Invalid(shortened(&problem(&error, "the schema"), PROBLEM_BYTES))
            })?;
        Ok(Self { validator })
    }

    /// As [`Schema::compile`], for the arguments of a tool.
    pub(super) fn of_arguments(schema: &Value) -> Result<Self, SchemaError> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(SchemaError::NotAnObject);
        }
        Self::compile(schema)
    }

    /// What is wrong with a value; bounded, and without the value's own text, which may be
    /// long. `name` is what the value is called where it is wrong as a whole.
    pub(super) fn check(&self, value: &Value, name: &str) -> Result<(), ArgumentError> {
        let mut errors = self.validator.iter_errors(value);
        let mut told = String::new();
        for error in errors.by_ref().take(PROBLEMS) {
            let separator = if told.is_empty() { "" } else { "; " };
            let text = shortened(&problem(&error, name), PROBLEM_BYTES);
            // Writing to a string cannot fail.
            let _ = write!(told, "{separator}{text}");
        }
        if told.is_empty() {
            return Ok(());
        }
        if errors.next().is_some() {
            told.push_str("; and more");
        }
        Err(ArgumentError(told))
    }
}

fn problem(error: &ValidationError<'_>, name: &str) -> String {
    let path = error.instance_path().as_str();
    let masked = error.masked_with("the value");
    match path {
        "" => format!("{name}: {masked}"),
        path => format!("{path}: {masked}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, value: &Value) -> Result<(), String> {
        let schema = Schema::compile(schema).unwrap();
        schema
            .check(value, "the arguments")
            .map_err(|error| error.0)
    }

    #[test]
    fn problems_name_their_place() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "maxLength": 5 },
                "days": { "type": "array", "items": { "type": "integer", "minimum": 1 } },
            },
            "required": ["city"],
            "additionalProperties": false,
        });
        assert_eq!(
            check(&schema, &json!({ "city": "Bern", "days": [1] })),
            Ok(())
        );
        for (value, told) in [
            (json!({}), "the arguments: \"city\" is a required property"),
            (
                json!([]),
                "the arguments: the value is not of type \"object\"",
            ),
            (
                json!({ "city": "Winterthur", "days": [1, 0, "x"], "more": 1 }),
                "/city: the value is longer than 5 characters; /days/1: the value is less than \
                 the minimum of 1; /days/2: the value is not of type \"integer\"; and more",
            ),
        ] {
            assert_eq!(check(&schema, &value).unwrap_err(), told);
        }
    }

    #[test]
    fn problems_are_bounded() {
        let options: Vec<_> = (0..1000).map(|n| format!("option {n}")).collect();
        let schema = json!({ "type": "array", "items": { "enum": options } });
        let value = json!(vec!["x".repeat(10_000); 100]);
        let told = check(&schema, &value).unwrap_err();
        assert!(told.len() < 1000, "{} bytes", told.len());
        assert!(told.contains("/0:") && told.ends_with("and more"), "{told}");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for schema in [
            json!({ "type": "objekt" }),
            json!({ "properties": 1 }),
            json!({ "pattern": "(" }),
            json!(7),
            json!({ "$ref": "#/$defs/absent" }),
            json!({ "description": "x".repeat(SCHEMA_BYTES) }),
        ] {
            assert!(Schema::compile(&schema).is_err(), "{schema:.80}");
        }
        assert_eq!(
            Schema::of_arguments(&json!({ "type": "string" })).err(),
            Some(SchemaError::NotAnObject)
        );
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in [
            "http://127.0.0.1:1/x.json",
            "https://example.com/x",
            "file:///etc/passwd",
        ] {
            let schema = json!({ "$ref": reference });
            assert!(Schema::compile(&schema).is_err(), "{reference}");
        }
    }

    #[test]
    fn a_schema_of_itself_ends() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        ] {
            // Whether it is refused or allows everything: it must come back.
            if let Ok(compiled) = Schema::compile(&schema) {
                let _ = compiled.check(&json!({ "a": 1 }), "it");
            }
        }
    }

    #[test]
    fn a_pattern_cannot_run_away() {
        let schema = json!({ "type": "string", "pattern": "^(a|a?)+\\1$" });
        let value = json!(format!("{}b", "a".repeat(5_000)));
        assert!(check(&schema, &value).is_err());
    }
}
