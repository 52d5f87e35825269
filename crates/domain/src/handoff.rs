//! Hand-offs: another agent continues a conversation.

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, AgentVersionId, SessionId, ToolCallId};

/// The move of a conversation from one agent to another during a run. The transaction that writes
/// its event also changes the run and its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandOff {
    /// The session, whose agent changes.
    pub session_id: SessionId,
    /// The tool call with which the model requested it.
    pub tool_call_id: ToolCallId,
    /// The agent that the conversation moves from.
    pub from_agent_id: AgentId,
    /// The agent that the conversation moves to.
    pub to_agent_id: AgentId,
    /// The version of that agent, to which the run is pinned.
    pub to_agent_version_id: AgentVersionId,
    /// The model that continues the run, as `provider/model`.
    pub model: String,
    /// The model's reason, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
