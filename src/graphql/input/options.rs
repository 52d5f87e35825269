//! Input types of the options of one run.

use async_graphql::{Enum, InputObject, Json, MaybeUndefined, OneofObject};
use serde_json::Value;

use super::interrupt::ClientToolInput;
use super::variables::check_variables;
use crate::graphql::{ApiError, ApiLimits};
use talkgraph_domain::{ClientTool, RunOverrides, ToolChoice};
use talkgraph_runtime::{check_output_schema, is_time_zone};

/// The model's freedom to call tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ToolChoiceMode {
    /// The model decides.
    Auto,
    /// The model calls no tools.
    None,
    /// The model must call at least one tool in its first step, if its provider supports that. It
    /// decides in later steps.
    Required,
}

/// The model's choice of tools.
#[derive(Debug, OneofObject)]
pub(crate) enum ToolChoiceInput {
    /// The model's freedom to call tools.
    Mode(ToolChoiceMode),
    /// The name of the tool that the first step must call, if the provider supports that.
    Tool(String),
}

/// Options in which a run differs from the one that it repeats.
#[derive(Debug, InputObject)]
pub(crate) struct RunOverridesInput {
    /// The values available to the agent's instructions, as in `ChatInput`; those of the repeated
    /// run if absent.
    variables: Option<Json<Value>>,
    /// The JSON Schema of the answer, as in `ChatInput`; that of the repeated run if absent, the
    /// agent's own if null.
    output_schema: MaybeUndefined<Json<Value>>,
    /// The model's choice of tools, as in `ChatInput`; that of the repeated run if absent.
    tool_choice: Option<ToolChoiceInput>,
    /// The IANA time zone of `date` in the instructions, as in `ChatInput`, such as
    /// `Europe/Zurich`; that of the repeated run if absent.
    time_zone: Option<String>,
    /// The complete list of tools that the client executes, as in `ChatInput`; those of the
    /// repeated run if absent.
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

/// Checks a name of the IANA time zone database.
pub(super) fn time_zone(name: String) -> Result<String, ApiError> {
    if is_time_zone(&name) {
        return Ok(name);
    }
    let why = "must be a name of the IANA time zone database, such as Europe/Zurich";
    Err(ApiError::bad_input("input.timeZone", why))
}
