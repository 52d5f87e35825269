//! What clients ask of one run beside its message.

use async_graphql::{Enum, Json, OneofObject};
use serde_json::Value;

use crate::agent::check_output_schema;
use crate::domain::ToolChoice;
use crate::graphql::ApiError;

/// Whether a model calls tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ToolChoiceMode {
    /// As it likes.
    Auto,
    /// It calls none.
    None,
    /// Its first step calls at least one, where its provider can hold it to that; what it does
    /// then is up to it.
    Required,
}

/// Whether a model calls tools, or which one.
#[derive(Debug, OneofObject)]
pub(crate) enum ToolChoiceInput {
    /// Whether it calls any.
    Mode(ToolChoiceMode),
    /// The name of the tool that its first step calls, where its provider can hold it to that.
    Tool(String),
}

pub(super) fn tool_choice(input: Option<ToolChoiceInput>) -> ToolChoice {
    match input {
        None | Some(ToolChoiceInput::Mode(ToolChoiceMode::Auto)) => ToolChoice::Auto,
        Some(ToolChoiceInput::Mode(ToolChoiceMode::None)) => ToolChoice::None,
        Some(ToolChoiceInput::Mode(ToolChoiceMode::Required)) => ToolChoice::Required,
        Some(ToolChoiceInput::Tool(name)) => ToolChoice::Named(name),
    }
}

pub(super) fn schema(Json(schema): Json<Value>) -> Result<Value, ApiError> {
    let checked = check_output_schema(&schema);
    checked.map_err(|why| ApiError::bad_input("input.outputSchema", why))?;
    Ok(schema)
}
