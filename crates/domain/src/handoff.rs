//! Hand-offs: another agent goes on with a conversation.

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, AgentVersionId, SessionId, ToolCallId};

/// A conversation moves from one agent to another in the middle of a run. Whoever writes the
/// event that tells of it changes the run and its session in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandOff {
    /// The session, whose agent changes.
    pub session_id: SessionId,
    /// The call with which the model asked for it.
    pub tool_call_id: ToolCallId,
    /// The agent that had the conversation.
    pub from_agent_id: AgentId,
    /// The agent that has it from here on.
    pub to_agent_id: AgentId,
    /// The version of that agent, which the run is pinned to.
    pub to_agent_version_id: AgentVersionId,
    /// `provider/model` that the run goes on with.
    pub model: String,
    /// Why, in the model's words, if it gave any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
