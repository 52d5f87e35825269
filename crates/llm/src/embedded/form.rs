//! Answers of a given form: a grammar of the JSON Schema restricts the next token.

use std::sync::Arc;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::error::EmbeddedError;
use super::tokenizer::Tokenizer;

/// Limits of a grammar: some ten milliseconds to create it, a few to find the allowed tokens, and
/// some ten megabytes of memory.
const LEXER_FUEL: u64 = 500_000;
const STEP_FUEL: u64 = 200_000;
const LEXER_STATES: usize = 20_000;
const GRAMMAR_SYMBOLS: usize = 50_000;

/// Creates grammars for the model's vocabulary.
pub(crate) struct Forms {
    factory: ParserFactory,
}

impl Forms {
    /// Creates a factory of grammars whose answers end with the token `end`.
    pub(crate) fn new(tokenizer: &Tokenizer, end: u32) -> Result<Self, EmbeddedError> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for token in 0..tokenizer.len() {
            // A special token is not text, even if its name is.
            let bytes = match tokenizer.bytes(token) {
                [] => [
                    &[TokTrie::SPECIAL_TOKEN_MARKER],
                    token.to_string().as_bytes(),
                ]
                .concat(),
                bytes => bytes.to_vec(),
            };
            words.push(bytes);
        }
        let info = TokRxInfo::new(tokenizer.len(), end);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let mut factory = ParserFactory::new_simple(&environment).map_err(compute)?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            initial_lexer_fuel: LEXER_FUEL,
            step_lexer_fuel: STEP_FUEL,
            max_lexer_states: LEXER_STATES,
            max_grammar_size: GRAMMAR_SYMBOLS,
            // The errors would repeat the answer.
            verbose_errors: false,
            ..ParserLimits::default()
        };
        Ok(Self { factory })
    }

    /// The form of answers for a schema. A schema whose grammar exceeds the limits restricts an
    /// answer to JSON at least.
    pub(crate) fn of(&self, schema: &Value) -> Result<Form, EmbeddedError> {
        let made = self.grammar(schema);
        if let Some(error) = made.get_error() {
            tracing::debug!(error, "converting a schema to a grammar failed");
            let any = self.grammar(&json!({ "type": "object" }));
            return match any.get_error() {
                Some(error) => Err(EmbeddedError::Compute(error)),
                None => Ok(Form(any)),
            };
        }
        Ok(Form(made))
    }

    fn grammar(&self, schema: &Value) -> Matcher {
        let mut schema = schema.clone();
        if let Value::Object(fields) = &mut schema {
            // White space between tokens of JSON could continue without end.
            let options = json!({ "whitespace_flexible": false, "item_separator": ", ",
                "key_separator": ": " });
            fields.insert("x-guidance".to_owned(), options);
        }
        let grammar = TopLevelGrammar::from_json_schema(schema);
        Matcher::new(self.factory.create_parser(grammar))
    }
}

/// The form of one answer, and the state in it.
pub(crate) struct Form(Matcher);

impl Form {
    /// The allowed next tokens.
    pub(crate) fn allowed(&mut self) -> Result<SimpleVob, EmbeddedError> {
        self.0.compute_mask_or_eos().map_err(compute)
    }

    /// Appends a token. Returns true if nothing can follow it.
    pub(crate) fn accept(&mut self, token: u32) -> Result<bool, EmbeddedError> {
        self.0.consume_token(token).map_err(compute)?;
        Ok(self.0.is_stopped())
    }
}

fn compute(error: impl std::fmt::Display) -> EmbeddedError {
    EmbeddedError::Compute(error.to_string())
}
