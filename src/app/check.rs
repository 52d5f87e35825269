//! The findings of `talkgraph agents check`.

use talkgraph_domain::AgentSpec;
use talkgraph_tools::{ServerState, ToolRegistry};

/// Agent files without errors, and the tools that their agents lack.
#[derive(Debug)]
pub struct AgentsCheck {
    /// Each agent, with its tools that are not available and the reasons.
    pub agents: Vec<(String, Vec<(String, String)>)>,
    /// The missing MCP servers, with the reasons, for operators.
    pub missing: Vec<(String, String)>,
    /// The tools of MCP servers that cannot be offered, with the reasons.
    pub unavailable: Vec<(String, String)>,
    /// True if a required server is missing.
    pub lacks_required: bool,
}

impl AgentsCheck {
    /// Agent files alone.
    pub(super) fn offline(specs: Vec<AgentSpec>) -> Self {
        let agents = specs.into_iter().map(|spec| (spec.name, Vec::new()));
        Self {
            agents: agents.collect(),
            missing: Vec::new(),
            unavailable: Vec::new(),
            lacks_required: false,
        }
    }

    /// Agent files, and the tools of the reached MCP servers.
    pub(super) fn new(specs: Vec<AgentSpec>, tools: &ToolRegistry) -> Self {
        let servers = tools.servers();
        let lacks = |spec: &AgentSpec| {
            let lacks = spec
                .tools
                .iter()
                .filter(|tool| servers.has_server_of(tool) && tools.get(tool).is_none());
            let lacks = lacks.map(|tool| (tool.clone(), servers.why_unavailable(tool)));
            lacks.collect()
        };
        let agents = specs.iter().map(|spec| (spec.name.clone(), lacks(spec)));
        let why = |state| match state {
            ServerState::Missing(why) => why,
            ServerState::Starting => "it does not answer in time".to_owned(),
            ServerState::There => String::new(),
        };
        let missing = servers.missing().into_iter();
        let unavailable = servers.unavailable().into_iter();
        Self {
            agents: agents.collect(),
            missing: missing
                .map(|(name, state)| (name.to_string(), why(state)))
                .collect(),
            unavailable: unavailable
                .filter(|tool| !tool.name.ends_with("__*"))
                .map(|tool| (tool.name, tool.reason))
                .collect(),
            lacks_required: servers.lack_required(),
        }
    }

    /// Returns true when no agent lacks a tool and no required server is missing.
    pub fn is_well(&self) -> bool {
        !self.lacks_required && self.agents.iter().all(|(_, lacks)| lacks.is_empty())
    }

    /// The findings, a line each.
    pub fn lines(&self) -> Vec<String> {
        let agents = self.agents.iter().flat_map(|(name, lacks)| {
            let ok = lacks.is_empty().then(|| format!("{name}: ok"));
            let lacks = lacks
                .iter()
                .map(move |(tool, why)| format!("{name}: the tool {tool} is not available: {why}"));
            ok.into_iter().chain(lacks)
        });
        let servers = self.missing.iter();
        let servers = servers.map(|(name, why)| format!("MCP server {name} is not there: {why}"));
        let tools = self.unavailable.iter();
        let tools = tools.map(|(name, why)| format!("tool {name} cannot be offered: {why}"));
        agents.chain(servers).chain(tools).collect()
    }
}
