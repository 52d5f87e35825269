//! The names of the tools that stand for the members of a team.

use talkgraph_domain::AgentSpec;

/// The prefixes of the tool names of team members.
pub(crate) const HANDOFF: &str = "handoff_to_";
pub(crate) const ASK: &str = "ask_";

/// The names of the tools of an agent's team.
pub(crate) fn tool_names(spec: &AgentSpec) -> impl Iterator<Item = String> {
    let handoffs = spec.handoffs.iter();
    let asked = spec.agents_as_tools.iter();
    let handoffs = handoffs.map(|name| format!("{HANDOFF}{name}"));
    handoffs.chain(asked.map(|name| format!("{ASK}{name}")))
}
