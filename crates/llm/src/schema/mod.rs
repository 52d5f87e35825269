//! JSON Schemas in the form that vendors accept.
//!
//! A caller's or a tool server's schema may use all of JSON Schema. Each vendor accepts a subset,
//! and refuses the whole request otherwise. So each request has a copy, reduced by the vendor's
//! `Rules`; constraints that the copy cannot express are in its descriptions, and the model's
//! answer is validated against the full schema.
//!
//! `rules` is the form of a vendor's rules, which are data (`openai`, `anthropic`, `gemini`,
//! `compatible`). `top` converts the outermost schema to an object, `reduce` traverses it,
//! `references` resolves and bounds `$ref`, `merge` merges schemas, `values` handles enumerations
//! and types, `words` describes left out constraints, and `size` counts the quantities that a
//! vendor limits.

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

/// A schema that a vendor can enforce for an answer; none if it cannot express the full schema, or
/// exceeds its limits. Then the schema becomes part of the instructions, or is not enforced.
pub(super) fn answer(schema: &Value, rules: &Rules) -> Option<Value> {
    top::answer(schema, rules)
}

/// An answer's schema for OpenAI's `json_schema`, and true if it can be enforced (`strict`).
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

/// The instruction that describes the schema, for models that cannot enforce it.
pub(super) fn instruction(output: &OutputSchema) -> String {
    let schema = &output.schema;
    // Some servers can only enforce an object of any form.
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
