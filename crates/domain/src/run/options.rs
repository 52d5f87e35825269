//! What a client asks of one run.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::client_tool::ClientTool;

/// What a start does when its session has an active run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ConcurrencyPolicy {
    /// Is refused.
    Reject,
    /// Waits until those before it have ended, and then answers what the branch is by then.
    Enqueue,
    /// Stops it, with its partial answer kept.
    Interrupt,
    /// Stops it, and takes its message and partial answer out of the branch.
    Rollback,
}

/// What a client asks of one run beyond its agent's configuration. Kept with the run, so that
/// whichever server goes on with it asks the same of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// What the agent's instructions can use as `variables.x`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// The client's own tools, told to the model beside the agent's.
    pub client_tools: Vec<ClientTool>,
    /// The JSON Schema of the answer; the agent's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Whether its model calls tools.
    #[serde(skip_serializing_if = "ToolChoice::is_auto")]
    pub tool_choice: ToolChoice,
    /// The IANA time zone of `date` in the instructions; the agent's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The id of the request that has started the run, for the log. Nothing that is asked of
    /// the run, so it tells no two starts apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// In what a run is asked otherwise than the one that it repeats; what is `None` is as before.
#[derive(Debug, Clone, Default)]
pub struct RunOverrides {
    /// Its variables, instead of all that there were.
    pub variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// The client's tools, instead of all that there were.
    pub client_tools: Option<Vec<ClientTool>>,
    /// The JSON Schema of the answer; `Some(None)` for the agent's own.
    pub output_schema: Option<Option<Value>>,
    /// Whether its model calls tools.
    pub tool_choice: Option<ToolChoice>,
    /// The time zone of `date` in the instructions.
    pub time_zone: Option<String>,
}

impl RunOverrides {
    /// What the run is asked that was asked `before` of the one that it repeats.
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

/// Whether a model calls tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It does not. The tools are still told, as the history may have calls of them.
    None,
    /// It calls at least one.
    Required,
    /// It calls this one.
    Named(String),
}

impl ToolChoice {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}
