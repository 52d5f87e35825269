//! The rules for teams.

use std::collections::HashSet;

use talkgraph_domain::AgentSpec;
use talkgraph_tools::{MAX_NAME_CHARS, is_valid_name};

use crate::spec::spec_error::SpecError;
use crate::spec::team::names::{HANDOFF, tool_names};

/// The most members of a team: each is a tool in the model's request.
const MAX_MEMBERS: usize = 32;

const AGENTS_AS_TOOLS: &str = "agents_as_tools";

fn wrong(field: &'static str, why: String) -> Result<(), SpecError> {
    Err(SpecError::new(field, why))
}

/// The fields that name other agents.
pub(crate) fn fields(spec: &AgentSpec) -> [(&'static str, &[String]); 2] {
    [
        ("handoffs", &spec.handoffs),
        (AGENTS_AS_TOOLS, &spec.agents_as_tools),
    ]
}

/// Checks the parts of a team that are the same on every server.
pub(crate) fn check(spec: &AgentSpec) -> Result<(), SpecError> {
    for (field, names) in fields(spec) {
        if names.len() > MAX_MEMBERS {
            return wrong(field, format!("at most {MAX_MEMBERS}"));
        }
        let mut seen = HashSet::new();
        for name in names {
            if *name == spec.name {
                return wrong(field, "an agent cannot name itself".to_owned());
            }
            if !seen.insert(name) {
                return wrong(field, format!("{name:?} is there twice"));
            }
        }
    }
    let own: HashSet<&str> = spec.tools.iter().map(String::as_str).collect();
    for tool in tool_names(spec) {
        if !is_valid_name(&tool) {
            let why = format!("{tool:?} is no name of a tool: at most {MAX_NAME_CHARS} characters");
            let field = match tool.starts_with(HANDOFF) {
                true => "handoffs",
                false => AGENTS_AS_TOOLS,
            };
            return wrong(field, why);
        }
        if own.contains(tool.as_str()) {
            return wrong("tools", format!("{tool:?} stands for another agent, too"));
        }
    }
    Ok(())
}

/// Checks that `is_there` knows all members.
pub(crate) fn check_team(
    spec: &AgentSpec,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), SpecError> {
    for (field, names) in fields(spec) {
        if let Some(name) = names.iter().find(|name| !is_there(name)) {
            return wrong(field, format!("there is no agent {name:?}"));
        }
    }
    Ok(())
}

/// Rejects agents that call each other in a cycle. Cycles of hand-offs are allowed: they end with
/// an answer.
pub(crate) fn check_cycles(spec: &AgentSpec, all: &[AgentSpec]) -> Result<(), SpecError> {
    let mut seen = HashSet::new();
    let mut left: Vec<&String> = spec.agents_as_tools.iter().collect();
    while let Some(name) = left.pop() {
        if *name == spec.name {
            let why = format!("{name:?} would ask itself through the agents that it asks");
            return wrong(AGENTS_AS_TOOLS, why);
        }
        if seen.insert(name) {
            let asked = all.iter().find(|other| other.name == *name);
            left.extend(asked.into_iter().flat_map(|other| &other.agents_as_tools));
        }
    }
    Ok(())
}
