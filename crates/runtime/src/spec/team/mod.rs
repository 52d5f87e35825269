//! The team of an agent: the agents that its model can hand the conversation to or call.

pub(crate) mod defined;
pub(crate) mod names;
pub(crate) mod rules;

use std::sync::Arc;

use serde_json::json;

use talkgraph_domain::{Agent, AgentSpec, Principal, Run};
use talkgraph_llm::ToolSpec;
use talkgraph_store::StoreError;

use crate::spec::agent_lookup::AgentLookup;
use crate::spec::team::names::{ASK, HANDOFF};

/// The agents that the model of a run can hand off to or call, as tools.
pub(crate) struct Team {
    handoffs: Vec<Member>,
    asked: Vec<Member>,
}

/// A member of a team, under the name of its tool.
struct Member {
    tool: String,
    agent: Arc<Agent>,
}

impl Team {
    /// The team of an agent, limited to the agents that `who` can use now.
    ///
    /// # Errors
    /// Errors of the store.
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

    /// The tool definitions of the team for the model.
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

    /// The agent that a call with this name runs.
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
