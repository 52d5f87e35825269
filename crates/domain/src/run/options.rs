//! The options of one run.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::client_tool::ClientTool;

/// The behaviour of a start when its session has an active run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ConcurrencyPolicy {
    /// The start is refused.
    Reject,
    /// The run waits until those before it have ended, and then answers the branch as it is by
    /// then.
    Enqueue,
    /// The active run is cancelled, and its partial answer kept.
    Interrupt,
    /// The active run is cancelled, and its message and partial answer are removed from the branch.
    Rollback,
}

/// The options of one run beyond its agent's configuration. Stored with the run, so that any server
/// that continues it uses the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// The values of `variables.x` in the agent's instructions.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// The client's own tools, offered to the model in addition to the agent's.
    pub client_tools: Vec<ClientTool>,
    /// The JSON Schema of the answer; the agent's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Rule for the model's tool calls.
    #[serde(skip_serializing_if = "ToolChoice::is_auto")]
    pub tool_choice: ToolChoice,
    /// The IANA time zone of `date` in the instructions; the agent's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The id of the request that started the run, for the log. Not compared when the options of
    /// two starts are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Changes to the options of a repeated run; those that are `None` stay as they were.
#[derive(Debug, Clone, Default)]
pub struct RunOverrides {
    /// Variables that replace all earlier ones.
    pub variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// Client tools that replace all earlier ones.
    pub client_tools: Option<Vec<ClientTool>>,
    /// The JSON Schema of the answer; `Some(None)` for the agent's own.
    pub output_schema: Option<Option<Value>>,
    /// Rule for the model's tool calls.
    pub tool_choice: Option<ToolChoice>,
    /// The time zone of `date` in the instructions.
    pub time_zone: Option<String>,
}

impl RunOverrides {
    /// Applies the changes to the options of the run that is repeated.
    #[must_use]
    pub fn over(self, before: RunOptions) -> RunOptions {
        RunOptions {
            variables: self.variables.unwrap_or(before.variables),
            client_tools: self.client_tools.unwrap_or(before.client_tools),
            output_schema: self.output_schema.unwrap_or(before.output_schema),
            tool_choice: self.tool_choice.unwrap_or(before.tool_choice),
            time_zone: self.time_zone.or(before.time_zone),
            request_id: None,
        }
    }
}

/// Rule for a model's tool calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No calls. The tools are still sent, as the history may contain calls of them.
    None,
    /// At least one call.
    Required,
    /// A call of this tool.
    Named(String),
}

impl ToolChoice {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}
