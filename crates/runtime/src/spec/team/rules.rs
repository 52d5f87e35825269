//! Which teams an agent may have.

use std::collections::HashSet;

use talkgraph_domain::{AgentSpec, Principal};
use talkgraph_store::StoreError;
use talkgraph_tools::{MAX_NAME_CHARS, is_valid_name};

use crate::spec::agent_lookup::AgentLookup;
use crate::spec::spec_validation::SpecError;
use crate::spec::team::tool_names;

/// The most other agents that an agent names: each is a tool that its model is told of.
const MAX_MEMBERS: usize = 32;

const AGENTS_AS_TOOLS: &str = "agents_as_tools";

fn wrong(field: &'static str, why: String) -> Result<(), SpecError> {
    Err(SpecError::new(field, why))
}

/// The fields that name other agents.
fn fields(spec: &AgentSpec) -> [(&'static str, &[String]); 2] {
    [
        ("handoffs", &spec.handoffs),
        (AGENTS_AS_TOOLS, &spec.agents_as_tools),
    ]
}

/// Refuses what no server could offer a model.
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
            let field = match tool.starts_with(super::HANDOFF) {
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

/// Refuses a team of which `is_there` does not know a member.
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

/// Refuses agents that ask each other in a circle. Hand-offs may: somebody answers in the end.
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

/// The most agents that are looked at for circles of those that ask each other.
const MAX_LOOKED_AT: usize = 256;

/// Refuses the team of an agent that `who` defines: one that is not there, or that would
/// ask itself.
///
/// # Errors
/// The first field that is wrong, or the store's.
pub(crate) async fn check_defined_team(
    agents: &AgentLookup,
    who: &Principal,
    spec: &AgentSpec,
) -> Result<Result<(), SpecError>, StoreError> {
    let mut known: Vec<AgentSpec> = Vec::new();
    let mut left: Vec<String> = Vec::new();
    for (_, names) in fields(spec) {
        left.extend_from_slice(names);
    }
    while let Some(name) = left.pop() {
        let is_known = known.iter().any(|known| known.name == name);
        if is_known || name == spec.name || known.len() >= MAX_LOOKED_AT {
            continue;
        }
        if let Some(agent) = agents.by_name(who, &name).await? {
            let found = agent.current.spec.clone();
            left.extend_from_slice(&found.agents_as_tools);
            known.push(found);
        }
    }
    let is_there = |name: &str| known.iter().any(|known| known.name == name);
    Ok(check_team(spec, is_there).and_then(|()| check_cycles(spec, &known)))
}
