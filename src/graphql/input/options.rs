//! What clients ask of one run beside its message.

use async_graphql::{Enum, InputObject, Json, MaybeUndefined, OneofObject};
use serde_json::Value;

use super::interrupt::ClientToolInput;
use super::variables::check_variables;
use crate::graphql::{ApiError, ApiLimits};
use talkgraph_domain::{ClientTool, RunOverrides, ToolChoice};
use talkgraph_runtime::{check_output_schema, is_time_zone};

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

/// In what a run is asked otherwise than the one that it repeats.
#[derive(Debug, InputObject)]
pub(crate) struct RunOverridesInput {
    /// What the agent's instructions can use, as in `ChatInput`; what the repeated run had when
    /// absent.
    variables: Option<Json<Value>>,
    /// The JSON Schema of the answer, as in `ChatInput`; that of the repeated run when absent,
    /// the agent's own when null.
    output_schema: MaybeUndefined<Json<Value>>,
    /// Whether the model calls the agent's tools, as in `ChatInput`; as for the repeated run when
    /// absent.
    tool_choice: Option<ToolChoiceInput>,
    /// The time zone of `date` in the instructions, as in `ChatInput`; that of the repeated run
    /// when absent.
    time_zone: Option<String>,
    /// All tools that the client itself calls, as in `ChatInput`; those of the repeated run when
    /// absent.
    client_tools: Option<Vec<ClientToolInput>>,
}

impl RunOverridesInput {
    pub(super) fn check(self, limits: &ApiLimits) -> Result<RunOverrides, ApiError> {
        let variables = self.variables.map(|given| check_variables(given.0, limits));
        let output_schema = match self.output_schema {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(given) => Some(Some(schema(given)?)),
        };
        Ok(RunOverrides {
            variables: variables.transpose()?,
            client_tools: self.client_tools.map(client_tools),
            output_schema,
            tool_choice: self.tool_choice.map(ToolChoice::from),
            time_zone: self.time_zone.map(time_zone).transpose()?,
        })
    }
}

pub(super) fn client_tools(given: Vec<ClientToolInput>) -> Vec<ClientTool> {
    given.into_iter().map(ClientToolInput::into_tool).collect()
}

impl From<ToolChoiceInput> for ToolChoice {
    fn from(input: ToolChoiceInput) -> Self {
        match input {
            ToolChoiceInput::Mode(ToolChoiceMode::Auto) => Self::Auto,
            ToolChoiceInput::Mode(ToolChoiceMode::None) => Self::None,
            ToolChoiceInput::Mode(ToolChoiceMode::Required) => Self::Required,
            ToolChoiceInput::Tool(name) => Self::Named(name),
        }
    }
}

pub(super) fn schema(Json(schema): Json<Value>) -> Result<Value, ApiError> {
    let checked = check_output_schema(&schema);
    checked.map_err(|why| ApiError::bad_input("input.outputSchema", why))?;
    Ok(schema)
}

/// A name of the IANA time zone database.
pub(super) fn time_zone(name: String) -> Result<String, ApiError> {
    if is_time_zone(&name) {
        return Ok(name);
    }
    let why = "must be a name of the IANA time zone database, such as Europe/Zurich";
    Err(ApiError::bad_input("input.timeZone", why))
}
