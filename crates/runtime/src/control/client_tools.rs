//! Checks of the tools that a client sends with a request.

use std::collections::HashSet;

use talkgraph_domain::{Agent, ClientTool, MAX_CLIENT_TOOLS, MAX_CLIENT_TOOLS_BYTES, Principal};
use talkgraph_evaluation::json_bytes;
use talkgraph_tools::{RegisterError, ToolRegistry};

use crate::control::start_error::StartError;
use crate::spec::team::names::tool_names;

/// Refuses tools that no model accepts, or whose names collide with the agent's own tools.
pub(crate) async fn check(
    tools: &[ClientTool],
    agent: &Agent,
    who: &Principal,
    registry: &ToolRegistry,
) -> Result<(), StartError> {
    if tools.len() > MAX_CLIENT_TOOLS {
        let why = format!(
            "there are {} tools; at most {MAX_CLIENT_TOOLS} are allowed",
            tools.len()
        );
        return Err(StartError::ClientTools(why));
    }
    let bytes: usize = tools.iter().map(size).sum();
    if bytes > MAX_CLIENT_TOOLS_BYTES {
        let why = format!(
            "the tools have {bytes} bytes together; at most {MAX_CLIENT_TOOLS_BYTES} are allowed"
        );
        return Err(StartError::ClientTools(why));
    }
    let spec = &agent.current.spec;
    let team: Vec<_> = tool_names(spec).collect();
    let own = spec.tools.iter().chain(&team).map(String::as_str);
    let mut names: HashSet<&str> = own.collect();
    for (at, tool) in tools.iter().enumerate() {
        let wrong = |part, why| StartError::ClientTool { at, part, why };
        let checked = registry.client_tool(who, tool).await;
        checked.map_err(|error| match error {
            RegisterError::Schema { error, .. } => wrong("parameters", error.to_string()),
            error => wrong("name", error.to_string()),
        })?;
        if tool.description.trim().is_empty() {
            let why = "the description must not be blank".to_owned();
            return Err(wrong("description", why));
        }
        if !names.insert(&tool.name) {
            let why = format!("there is another tool {:?}", tool.name);
            return Err(wrong("name", why));
        }
    }
    Ok(())
}

fn size(tool: &ClientTool) -> usize {
    tool.name.len() + tool.description.len() + json_bytes(&tool.parameters)
}
