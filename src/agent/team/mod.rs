//! More than one agent: those that an agent's model can hand the conversation to.

mod handoff;
mod rules;

use std::sync::Arc;

use serde_json::json;

use crate::domain::{Agent, AgentSpec};
use crate::llm::ToolSpec;

use super::Runner;
use super::tools::Call;

pub use rules::TeamError;
pub(super) use rules::{check, check_team};

/// What the names of the tools begin with that a model is offered for its team.
const HANDOFF: &str = "handoff_to_";

/// The agents that a run's agent can call on, as tools of its model.
pub(super) struct Team {
    handoffs: Vec<Member>,
}

/// Another agent, under the name of the tool that stands for it.
struct Member {
    tool: String,
    agent: Arc<Agent>,
}

impl Team {
    /// The team of an agent, as far as the server has it now.
    pub(super) fn of(runner: &Runner, spec: &AgentSpec) -> Self {
        let member = |prefix: &str, name: &String| {
            let agent = runner.catalog.by_name(name)?;
            let tool = format!("{prefix}{name}");
            Some(Member { tool, agent })
        };
        let handoffs = spec.handoffs.iter();
        Self {
            handoffs: handoffs.filter_map(|name| member(HANDOFF, name)).collect(),
        }
    }

    /// What the model is told of them.
    pub(super) fn specs(&self) -> impl Iterator<Item = ToolSpec> {
        self.handoffs.iter().map(|member| ToolSpec {
            name: member.tool.clone(),
            description: format!(
                "Hands the whole conversation over to the agent {}, which then answers the person \
                 in your place. {}",
                member.agent.name, member.agent.current.spec.description
            ),
            parameters: json!({
                "type": "object",
                "properties": { "reason": {
                    "type": "string",
                    "description": "Why, and what the other agent has to know to go on.",
                } },
            }),
        })
    }

    /// Takes the hand-offs out of `calls`.
    pub(super) fn take_hand_offs(&self, calls: &mut Vec<Call>) -> Vec<Call> {
        let is_hand_off = |call: &mut Call| self.handoff(&call.name).is_some();
        calls.extract_if(.., is_hand_off).collect()
    }

    /// The agent that a hand-off with this name leads to.
    fn handoff(&self, tool: &str) -> Option<&Arc<Agent>> {
        let found = self.handoffs.iter().find(|member| member.tool == tool);
        found.map(|member| &member.agent)
    }
}

/// The names of the tools that stand for an agent's team.
pub(super) fn tool_names(spec: &AgentSpec) -> impl Iterator<Item = String> {
    let handoffs = spec.handoffs.iter();
    handoffs.map(|name| format!("{HANDOFF}{name}"))
}
