//! The team of an agent that is defined through the API.

use talkgraph_domain::{AgentSpec, Principal};
use talkgraph_store::StoreError;

use crate::spec::agent_lookup::AgentLookup;
use crate::spec::spec_error::SpecError;
use crate::spec::team::rules::{check_cycles, check_team, fields};

/// The most agents that the search for cycles reads.
const MAX_LOOKED_AT: usize = 256;

/// Checks the team of an agent that `who` defines: all members exist, and none calls itself through
/// others.
///
/// # Errors
/// The first invalid field, or an error of the store.
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
