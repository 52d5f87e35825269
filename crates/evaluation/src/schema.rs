//! JSON Schema: compiling and validating.

use std::borrow::Cow;
use std::fmt::Write;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::Failure;
use super::linear_schema::is_plain;
use super::size::json_bytes;

/// The maximum number of problems in one error: enough to correct several mistakes at once.
const PROBLEMS: usize = 3;

/// The longest description of one problem, in bytes.
const PROBLEM_BYTES: usize = 240;

/// The backtracking limit of a schema's pattern over one value.
const BACKTRACK_STEPS: usize = 100_000;

/// The product of the bytes of a plain schema and of a value up to which validation takes some
/// milliseconds at most, and the product up to which describing the problems does.
const AT_ONCE: usize = 4 << 20;
const NAMED_AT_ONCE: usize = 64 << 10;

/// A compiled schema.
#[derive(Debug)]
pub struct CheckedSchema {
    pub(super) source: Value,
    /// Set for a plain schema.
    plain: Option<Plain>,
}

#[derive(Debug)]
struct Plain {
    validator: Validator,
    bytes: usize,
}

impl CheckedSchema {
    /// Compiles a plain schema; none for others, which a worker has to compile.
    pub(super) fn plain(schema: &Value) -> Option<Result<Self, Failure>> {
        let bytes = json_bytes(schema);
        is_plain(schema, bytes).then(|| {
            Ok(Self {
                source: schema.clone(),
                plain: Some(Plain {
                    validator: compile(schema)?,
                    bytes,
                }),
            })
        })
    }

    /// Creates a schema that a worker has compiled.
    pub(super) fn costly(schema: &Value) -> Self {
        Self {
            source: schema.clone(),
            plain: None,
        }
    }

    /// The schema.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Validates a value if that is cheap; none if a worker has to.
    pub(super) fn at_once(&self, value: &Value, name: &str) -> Option<Result<(), Failure>> {
        let plain = self.plain.as_ref()?;
        let cost = plain.bytes.saturating_mul(json_bytes(value));
        if cost > AT_ONCE {
            return None;
        }
        if plain.validator.is_valid(value) {
            return Some(Ok(()));
        }
        (cost <= NAMED_AT_ONCE).then(|| validate(&plain.validator, value, name))
    }
}

/// Compiles a schema. Nothing is fetched: a `$ref` must stay within it.
pub(super) fn compile(schema: &Value) -> Result<Validator, Failure> {
    build(schema, None).map_err(|error| Failure::Wrong(problem(&error, "the schema")))
}

/// The same as [`compile`], by a draft other than the schema's own. An unknown dialect is read as
/// draft 2020-12.
pub(super) fn build(
    schema: &Value,
    draft: Option<Draft>,
) -> Result<Validator, ValidationError<'static>> {
    let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_STEPS);
    let options = jsonschema::options()
        .offline()
        .with_pattern_options(patterns);
    match draft {
        Some(draft) => options.with_draft(draft).build(schema),
        None => options.build(&of_known_dialect(schema)),
    }
}

/// A schema without the name of an unknown dialect.
fn of_known_dialect(schema: &Value) -> Cow<'_, Value> {
    let is_known = match schema.get("$schema") {
        None => true,
        Some(_) => Draft::default().detect(schema) != Draft::Unknown,
    };
    if is_known {
        return Cow::Borrowed(schema);
    }
    let mut schema = schema.clone();
    if let Value::Object(fields) = &mut schema {
        fields.shift_remove("$schema");
    }
    Cow::Owned(schema)
}

/// Validates a value. The problems are bounded, and without the value's own text, which may be
/// long. `name` is the noun for the value where it is wrong as a whole.
pub(super) fn validate(validator: &Validator, value: &Value, name: &str) -> Result<(), Failure> {
    let mut errors = validator.iter_errors(value);
    let mut problems = String::new();
    for error in errors.by_ref().take(PROBLEMS) {
        let separator = if problems.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(problems, "{separator}{}", problem(&error, name));
    }
    if problems.is_empty() {
        return Ok(());
    }
    if errors.next().is_some() {
        problems.push_str("; and more");
    }
    Err(Failure::Wrong(problems))
}

fn problem(error: &ValidationError<'_>, name: &str) -> String {
    let path = error.instance_path().as_str();
    let masked = error.masked_with("the value");
    let problem = match path {
        "" => format!("{name}: {masked}"),
        path => format!("{path}: {masked}"),
    };
    shortened(problem)
}

fn shortened(mut text: String) -> String {
    if text.len() > PROBLEM_BYTES {
        text.truncate(text.floor_char_boundary(PROBLEM_BYTES));
        text.push('…');
    }
    text
}
