//! The error of an agent definition.

use talkgraph_evaluation::Failure;
use thiserror::Error;

/// The error of an agent definition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {why}")]
pub struct SpecError {
    /// The field's path, as in a file: `limits.max_steps`.
    pub field: String,
    /// The problem with the field.
    pub why: String,
    /// The failure that prevented the check; a later attempt may succeed.
    pub unchecked: Option<Failure>,
}

impl SpecError {
    pub(crate) fn new(field: &str, why: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            why: why.into(),
            unchecked: None,
        }
    }

    pub(crate) fn unchecked(field: &str, failure: Failure) -> Self {
        Self {
            unchecked: Some(failure.clone()),
            ..Self::new(field, failure.to_string())
        }
    }
}
