//! JSON Schemas of arguments and answers.

use serde_json::Value;
use thiserror::Error;

use talkgraph_domain::restored;
use talkgraph_evaluation::{CheckedSchema, Evaluator, Failure, Whom, json_bytes};

/// The largest schema, in bytes of JSON: it is sent to the model with every call.
pub(super) const SCHEMA_BYTES: usize = 65_536;

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// Exceeds the size limit.
    #[error("the JSON Schema has {0} bytes; at most {SCHEMA_BYTES} are allowed")]
    TooLarge(usize),
    /// Not a JSON Schema, or one that needs another document.
    #[error("not a usable JSON Schema: {0}")]
    Invalid(String),
    /// Does not allow an object, which every provider requires of arguments.
    #[error("the JSON Schema of arguments must allow an object")]
    NotAnObject,
    /// Cannot be checked now; the same one may be usable later.
    #[error("the JSON Schema could not be checked: {0}")]
    Unchecked(Failure),
}

impl From<Failure> for SchemaError {
    fn from(failure: Failure) -> Self {
        match failure {
            failure if failure.is_temporary() => Self::Unchecked(failure),
            failure => Self::Invalid(failure.to_string()),
        }
    }
}

/// The reason why arguments are invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// Each problem with its place as a JSON Pointer.
    #[error("{0}")]
    Wrong(String),
    /// The check exceeded its limits, or was not possible.
    #[error("they could not be checked: {0}")]
    Unchecked(Failure),
}

impl From<Failure> for ArgumentError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Wrong(problems) => Self::Wrong(problems),
            failure => Self::Unchecked(failure),
        }
    }
}

/// Refuses arguments that are larger than `most` bytes of JSON.
pub(super) fn check_size(arguments: &Value, most: usize) -> Result<(), ArgumentError> {
    let bytes = json_bytes(arguments);
    match bytes > most {
        true => Err(ArgumentError::Wrong(format!(
            "they have {bytes} bytes of JSON; at most {most} are allowed"
        ))),
        false => Ok(()),
    }
}

/// A checked schema.
#[derive(Debug)]
pub(super) struct Schema {
    checked: CheckedSchema,
    evaluator: Evaluator,
    /// True for the arguments of a tool, which must be an object whether the schema says so or not.
    of_arguments: bool,
}

impl Schema {
    /// Checks a schema. Nothing is fetched: a `$ref` must stay within it.
    pub(super) async fn compile(
        evaluator: &Evaluator,
        who: Whom<'_>,
        schema: &Value,
    ) -> Result<Self, SchemaError> {
        check_schema_size(schema)?;
        Ok(Self {
            checked: evaluator.compile(who, schema).await?,
            evaluator: evaluator.clone(),
            of_arguments: false,
        })
    }

    /// The same as [`Schema::compile`], for the arguments of a tool.
    pub(super) async fn of_arguments(
        evaluator: &Evaluator,
        who: Whom<'_>,
        schema: &Value,
    ) -> Result<Self, SchemaError> {
        check_allows_object(schema)?;
        let compiled = Self::compile(evaluator, who, schema).await?;
        Ok(Self {
            of_arguments: true,
            ..compiled
        })
    }

    /// The same as [`Schema::of_arguments`], for a tool of another program, whose schema cannot be
    /// changed here: the parts of it that cannot be read are not validated.
    pub(super) async fn of_foreign_arguments(
        evaluator: &Evaluator,
        schema: &Value,
    ) -> Result<Self, SchemaError> {
        check_allows_object(schema)?;
        check_schema_size(schema)?;
        Ok(Self {
            checked: evaluator.compile_lenient(Whom::Server, schema).await?,
            evaluator: evaluator.clone(),
            of_arguments: true,
        })
    }

    /// The value if it is valid, else the valid value that it represents ([`restored`]).
    pub(super) async fn accept(
        &self,
        who: Whom<'_>,
        value: Value,
        name: &str,
    ) -> Result<Value, ArgumentError> {
        let error = match self.check(who, &value, name).await {
            Ok(()) => return Ok(value),
            Err(error @ ArgumentError::Unchecked(_)) => return Err(error),
            Err(error) => error,
        };
        for candidate in restored(&value, self.checked.source()) {
            if self.check(who, &candidate, name).await.is_ok() {
                return Ok(candidate);
            }
        }
        Err(error)
    }

    /// The problems of a value; bounded, and without the value's own text, which may be long.
    /// `name` is the noun for the value where it is wrong as a whole.
    pub(super) async fn check(
        &self,
        who: Whom<'_>,
        value: &Value,
        name: &str,
    ) -> Result<(), ArgumentError> {
        if self.of_arguments && !value.is_object() {
            return Err(ArgumentError::Wrong(format!("{name} must be an object")));
        }
        let checked = self.evaluator.validate(who, &self.checked, value, name);
        Ok(checked.await?)
    }
}

fn check_schema_size(schema: &Value) -> Result<(), SchemaError> {
    match json_bytes(schema) {
        bytes if bytes > SCHEMA_BYTES => Err(SchemaError::TooLarge(bytes)),
        _ => Ok(()),
    }
}

/// Refuses a schema that excludes objects.
fn check_allows_object(schema: &Value) -> Result<(), SchemaError> {
    let allows = schema.is_object()
        && match schema.get("type") {
            Some(Value::String(kind)) => kind == "object",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            _ => true,
        };
    allows.then_some(()).ok_or(SchemaError::NotAnObject)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn compile(schema: &Value) -> Result<Schema, SchemaError> {
        Schema::compile(&Evaluator::in_process(), Whom::Server, schema).await
    }

    async fn check(schema: &Value, value: &Value) -> Result<(), String> {
        let schema = compile(schema).await.unwrap();
        let checked = schema.check(Whom::Server, value, "the arguments").await;
        checked.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn problems_name_their_place() {
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
            check(&schema, &json!({ "city": "Bern", "days": [1] })).await,
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
            assert_eq!(check(&schema, &value).await.unwrap_err(), told);
        }
    }

    #[tokio::test]
    async fn problems_are_bounded() {
        let options: Vec<_> = (0..1000).map(|n| format!("option {n}")).collect();
        let schema = json!({ "type": "array", "items": { "enum": options } });
        let value = json!(vec!["x".repeat(10_000); 100]);
        let told = check(&schema, &value).await.unwrap_err();
        assert!(told.len() < 1000, "{} bytes", told.len());
        assert!(told.contains("/0:") && told.ends_with("and more"), "{told}");
    }

    #[tokio::test]
    async fn invalid_schema_is_refused() {
        for schema in [
            json!({ "type": "objekt" }),
            json!({ "properties": 1 }),
            json!({ "pattern": "(" }),
            json!(7),
            json!({ "$ref": "#/$defs/absent" }),
            json!({ "description": "x".repeat(SCHEMA_BYTES) }),
        ] {
            assert!(compile(&schema).await.is_err(), "{schema:.80}");
        }
        assert_eq!(
            Schema::of_arguments(
                &Evaluator::in_process(),
                Whom::Server,
                &json!({ "type": "string" })
            )
            .await
            .err(),
            Some(SchemaError::NotAnObject)
        );
    }

    #[tokio::test]
    async fn nothing_is_fetched() {
        for reference in [
            "http://127.0.0.1:1/x.json",
            "https://example.com/x",
            "file:///etc/passwd",
        ] {
            let schema = json!({ "$ref": reference });
            assert!(compile(&schema).await.is_err(), "{reference}");
        }
    }

    #[tokio::test]
    async fn a_schema_of_itself_ends() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        ] {
            // It may be refused or allow everything, but the call must return.
            if let Ok(compiled) = compile(&schema).await {
                let _ = compiled.check(Whom::Server, &json!({ "a": 1 }), "it").await;
            }
        }
    }

    #[tokio::test]
    async fn a_pattern_cannot_run_away() {
        let schema = json!({ "type": "string", "pattern": "^(a|a?)+\\1$" });
        let value = json!(format!("{}b", "a".repeat(5_000)));
        assert!(check(&schema, &value).await.is_err());
    }
}
