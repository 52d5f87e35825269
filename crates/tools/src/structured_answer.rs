//! Structured answers: JSON from a model's text, validated against a schema.

use serde_json::Value;
use thiserror::Error;

use talkgraph_domain::Principal;
use talkgraph_evaluation::{Evaluator, Failure, Whom};

use super::output::shortened;
use super::schema::{ArgumentError, Schema, SchemaError};

/// The longest reason for a repair that is sent to the model, in bytes.
const REASON_BYTES: usize = 1_000;

/// The schema of an answer.
#[derive(Debug)]
pub struct AnswerSchema {
    schema: Schema,
}

/// The reason why a text is not an answer, phrased so that a model can repair it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerProblem {
    /// The text contains no JSON.
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    /// The JSON does not match the schema.
    #[error("the answer does not match its JSON Schema: {0}")]
    Mismatch(ArgumentError),
    /// The check exceeded its limits or was not possible; another answer would not change that.
    #[error("the answer could not be checked against its JSON Schema: {0}")]
    Unchecked(Failure),
}

impl AnswerSchema {
    /// Checks a schema.
    ///
    /// # Errors
    /// When it is too large, is no JSON Schema, or refers to another document.
    pub async fn new(
        evaluator: &Evaluator,
        who: Whom<'_>,
        schema: &Value,
    ) -> Result<Self, SchemaError> {
        Ok(Self {
            schema: Schema::compile(evaluator, who, schema).await?,
        })
    }

    /// Reads a model's text: JSON alone, in a fenced block or after other words. Nulls for absent
    /// properties and the object that an answer was wrapped into are removed if the schema requires
    /// it.
    ///
    /// # Errors With a bounded reason that can be sent back to the model.
    pub async fn read(&self, who: &Principal, text: &str) -> Result<Value, AnswerProblem> {
        let value = parse(text)?;
        let accepted = self.schema.accept(who.into(), value, "the answer").await;
        accepted.map_err(|error| match error {
            ArgumentError::Wrong(_) => AnswerProblem::Mismatch(error),
            ArgumentError::Unchecked(failure) => AnswerProblem::Unchecked(failure),
        })
    }
}

/// The JSON of the text itself, of its last fenced block, or of the part from its first bracket.
fn parse(text: &str) -> Result<Value, AnswerProblem> {
    let text = text.trim();
    let whole = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let Some(value) = fenced(text).and_then(|block| serde_json::from_str(block).ok()) {
        return Ok(value);
    }
    let bracket = text.find(['{', '[']);
    let tail = bracket.map(|at| serde_json::Deserializer::from_str(&text[at..]).into_iter());
    match tail.and_then(|mut values| values.next()) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(not_json(&error)),
        None => Err(not_json(&whole)),
    }
}

fn not_json(error: &serde_json::Error) -> AnswerProblem {
    AnswerProblem::NotJson(shortened(&error.to_string(), REASON_BYTES))
}

/// The last complete block between lines of three backticks.
fn fenced(text: &str) -> Option<&str> {
    let (before, _) = text.rsplit_once("```")?;
    let (_, block) = before.rsplit_once("```")?;
    let (_language, block) = block.split_once('\n')?;
    Some(block)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn read(text: &str) -> Result<Value, AnswerProblem> {
        let schema = json!({
            "type": "object",
            "properties": { "capital": { "type": "string" } },
            "required": ["capital"],
        });
        let (evaluator, who) = (Evaluator::in_process(), Principal::development());
        let schema = AnswerSchema::new(&evaluator, Whom::Server, &schema)
            .await
            .unwrap();
        schema.read(&who, text).await
    }

    #[tokio::test]
    async fn json_is_found_in_a_models_text() {
        let expected = json!({ "capital": "Paris" });
        for text in [
            r#"{"capital":"Paris"}"#,
            "  {\"capital\": \"Paris\"}\n",
            "```json\n{\"capital\":\"Paris\"}\n```",
            "Here it is:\n\n```\n{\"capital\":\"Paris\"}\n```\nAnything else?",
            "Sure! {\"capital\":\"Paris\"} is the answer.",
        ] {
            assert_eq!(read(text).await, Ok(expected.clone()), "{text}");
        }
    }

    #[tokio::test]
    async fn the_reason_can_be_sent_back() {
        for (text, reason) in [
            (
                "Paris, of course.",
                "the answer is not JSON: expected value at line 1 column 1",
            ),
            (
                "{\"capital\": \"Par",
                "the answer is not JSON: EOF while parsing a string at line 1 column 16",
            ),
            (
                "{\"capital\": 7}",
                "the answer does not match its JSON Schema: /capital: the value is not of type \
                 \"string\"",
            ),
        ] {
            assert_eq!(read(text).await.unwrap_err().to_string(), reason);
        }
    }

    #[tokio::test]
    async fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(matches!(read(&deep).await, Err(AnswerProblem::NotJson(_))));
    }
}
