//! More than one agent: those that an agent's model can hand the conversation to, and those that
//! it can ask.

pub(crate) mod rules;

use std::sync::Arc;

use serde_json::json;

use talkgraph_domain::{Agent, AgentSpec, Principal, Run};
use talkgraph_llm::ToolSpec;
use talkgraph_store::StoreError;

use crate::spec::agent_lookup::AgentLookup;

/// What the names of the tools begin with that a model is offered for its team.
const HANDOFF: &str = "handoff_to_";
const ASK: &str = "ask_";

/// The agents that a run's agent can call on, as tools of its model.
pub(crate) struct Team {
    handoffs: Vec<Member>,
    asked: Vec<Member>,
}

/// Another agent, under the name of the tool that stands for it.
struct Member {
    tool: String,
    agent: Arc<Agent>,
}

impl Team {
    /// The team of an agent, as far as `who` has it now.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn of(
        agents: &AgentLookup,
        max_depth: u32,
        who: &Principal,
        spec: &AgentSpec,
        run: &Run,
    ) -> Result<Self, StoreError> {
        let depth = run.parent.map_or(0, |parent| parent.depth);
        let asked: &[String] = match depth < max_depth {
            true => &spec.agents_as_tools,
            false => &[],
        };
        Ok(Self {
            handoffs: members(agents, who, HANDOFF, &spec.handoffs).await?,
            asked: members(agents, who, ASK, asked).await?,
        })
    }

    /// What the model is told of them.
    pub(crate) fn specs(&self) -> impl Iterator<Item = ToolSpec> {
        let handoffs = self.handoffs.iter().map(|member| ToolSpec {
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
        });
        let asked = self.asked.iter().map(|member| ToolSpec {
            name: member.tool.clone(),
            description: format!(
                "Asks the agent {}, who knows nothing of this conversation, and gives its answer. \
                 {}",
                member.agent.name, member.agent.current.spec.description
            ),
            parameters: json!({
                "type": "object",
                "properties": { "message": {
                    "type": "string",
                    "description": "The question or task, with all that is needed to answer it.",
                } },
                "required": ["message"],
            }),
        });
        handoffs.chain(asked)
    }

    /// The agent that is asked under this name.
    pub(crate) fn asked(&self, tool: &str) -> Option<&Arc<Agent>> {
        let found = self.asked.iter().find(|member| member.tool == tool);
        found.map(|member| &member.agent)
    }

    /// The agent that a hand-off with this name leads to.
    pub(crate) fn handoff(&self, tool: &str) -> Option<&Arc<Agent>> {
        let found = self.handoffs.iter().find(|member| member.tool == tool);
        found.map(|member| &member.agent)
    }
}

async fn members(
    agents: &AgentLookup,
    who: &Principal,
    prefix: &str,
    names: &[String],
) -> Result<Vec<Member>, StoreError> {
    let mut members = Vec::with_capacity(names.len());
    for name in names {
        let agent = agents.by_name(who, name).await?;
        members.extend(agent.map(|agent| Member {
            tool: format!("{prefix}{name}"),
            agent,
        }));
    }
    Ok(members)
}

/// The names of the tools that stand for an agent's team.
pub(crate) fn tool_names(spec: &AgentSpec) -> impl Iterator<Item = String> {
    let handoffs = spec.handoffs.iter();
    let asked = spec.agents_as_tools.iter();
    let handoffs = handoffs.map(|name| format!("{HANDOFF}{name}"));
    handoffs.chain(asked.map(|name| format!("{ASK}{name}")))
}
