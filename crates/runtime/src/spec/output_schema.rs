//! Checks of the JSON Schema of structured answers.

use serde_json::Value;

use talkgraph_evaluation::{Evaluator, Whom};
use talkgraph_tools::{AnswerSchema, SchemaError};

/// Checks an output schema as far as that needs no evaluation.
///
/// # Errors
/// A description of the problem.
pub fn check_output_schema(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("the JSON Schema of an answer must be a JSON object".to_owned());
    }
    // PostgreSQL does not store U+0000 in JSON.
    if schema.to_string().contains("\\u0000") {
        return Err("the JSON Schema must not contain U+0000".to_owned());
    }
    Ok(())
}

/// Compiles an output schema that [`check_output_schema`] has accepted.
pub(crate) async fn compile_output_schema(
    evaluator: &Evaluator,
    who: Whom<'_>,
    schema: &Value,
) -> Result<(), SchemaError> {
    AnswerSchema::new(evaluator, who, schema).await.map(drop)
}
