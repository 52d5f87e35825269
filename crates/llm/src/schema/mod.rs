//! JSON Schemas as vendors take them.
//!
//! A caller's or a tool server's schema may use all of JSON Schema. Each vendor takes a part of
//! it, and refuses the whole request otherwise. So each request has a copy, reduced by the
//! vendor's `Rules`; what the copy cannot say is in its descriptions, and what a model answers is
//! validated against the full schema.
//!
//! `rules` is what a vendor's file (`openai`, `anthropic`, `gemini`, `compatible`) says as data;
//! `top` makes an object of the outermost schema, `reduce` goes through it, `references` resolves
//! and bounds `$ref`, `merge` joins schemas, `values` looks at enumerations and types, `words`
//! puts what is left out into a description, `size` counts what a vendor limits.

pub(super) mod anthropic;
#[cfg(test)]
mod check;
pub(super) mod compatible;
#[cfg(feature = "embedded-model")]
pub(super) mod embedded;
pub(super) mod gemini;
mod merge;
mod object;
pub(super) mod openai;
mod reduce;
mod references;
mod rules;
mod size;
#[cfg(test)]
mod tests;
mod top;
mod values;
mod words;

use serde_json::{Value, json};

use self::rules::Rules;
use super::OutputSchema;
use talkgraph_domain::WRAPPED_ANSWER;

/// A schema of a tool's arguments: always an object at the top, without combinators.
pub(super) fn arguments(schema: &Value, rules: &Rules) -> Value {
    top::arguments(schema, rules)
}

/// A schema that a vendor holds an answer to; none if it cannot express what the full schema
/// allows, or is beyond its limits. Then the schema is told in words, or not enforced.
pub(super) fn answer(schema: &Value, rules: &Rules) -> Option<Value> {
    top::answer(schema, rules)
}

/// An answer's schema for OpenAI's `json_schema`, and true if a model can be held to it
/// (`strict`).
pub(super) fn json_schema(schema: &Value) -> (Value, bool) {
    match answer(schema, &openai::ANSWER) {
        Some(strict) => (strict, true),
        // Open schemas can always be expressed.
        None => (
            answer(schema, &compatible::ANSWER).unwrap_or_else(|| json!({ "type": "object" })),
            false,
        ),
    }
}

/// The schema in words, for models that cannot be held to it.
pub(super) fn instruction(output: &OutputSchema) -> String {
    let schema = &output.schema;
    // Some servers can be asked for an object, of whatever form.
    let form = match schema["type"] == "object" {
        true => "It must be valid against this JSON Schema".to_owned(),
        false => format!(
            "It must have one property, {WRAPPED_ANSWER:?}, whose value is valid against this \
             JSON Schema"
        ),
    };
    format!(
        "Answer with a single JSON object and nothing else: no code fence, no explanation. \
         {form}:\n{schema}"
    )
}
