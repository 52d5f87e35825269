//! The input of one run, checked before anything is stored.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::control::start_error::StartError;
use crate::spec::output_schema::compile_output_schema;
use crate::spec::team::names::tool_names;
use crate::spec::time_zone::local;
use talkgraph_domain::time::now;
use talkgraph_domain::{Agent, Principal, RunOptions, ToolChoice};
use talkgraph_evaluation::{Evaluator, Failure, uses_variables};
use talkgraph_tools::SchemaError;

/// Refuses variables that the agent's instructions cannot be rendered with, before anything
/// is stored.
pub(crate) async fn check_variables(
    evaluator: &Evaluator,
    who: &Principal,
    agent: &Agent,
    options: &RunOptions,
) -> Result<(), StartError> {
    let instructions = &agent.current.spec.instructions;
    if !uses_variables(instructions) {
        return Ok(());
    }
    let variables = &options.variables;
    let at = local(now(), &agent.current.spec, options);
    let rendered = evaluator.instructions(who, instructions, at, variables);
    match rendered.await {
        Ok(_) => Ok(()),
        Err(failure) if failure.is_temporary() => Err(StartError::Unchecked(failure)),
        Err(Failure::Undefined(why)) => {
            let used = evaluator.variables_of(who.into(), instructions).await;
            let used = used.unwrap_or_default();
            let missing = missing(&used, variables);
            Err(match missing.is_empty() {
                true => StartError::Variables(why),
                false => StartError::MissingVariables(missing.join(", ")),
            })
        }
        Err(failure) => Err(StartError::Variables(failure.to_string())),
    }
}

/// Refuses a schema that no answer could be checked against.
pub(crate) async fn check_schema(
    evaluator: &Evaluator,
    who: &Principal,
    options: &RunOptions,
) -> Result<(), StartError> {
    let Some(schema) = &options.output_schema else {
        return Ok(());
    };
    let compiled = compile_output_schema(evaluator, who.into(), schema).await;
    compiled.map_err(|error| match error {
        SchemaError::Unchecked(failure) => StartError::Unchecked(failure),
        error => StartError::OutputSchema(error.to_string()),
    })
}

/// Refuses a tool choice that names no tool of the agent or the client.
pub(crate) fn check_tool_choice(agent: &Agent, options: &RunOptions) -> Result<(), StartError> {
    let spec = &agent.current.spec;
    let team: Vec<_> = tool_names(spec).collect();
    let clients = options.client_tools.iter().map(|tool| &tool.name);
    let tools: Vec<_> = spec.tools.iter().chain(&team).chain(clients).collect();
    let missing = match &options.tool_choice {
        ToolChoice::Auto | ToolChoice::None => return Ok(()),
        ToolChoice::Required if tools.is_empty() => None,
        ToolChoice::Named(name) if !tools.contains(&name) => Some(name.clone()),
        ToolChoice::Required | ToolChoice::Named(_) => return Ok(()),
    };
    Err(StartError::NoTool {
        agent: agent.name.clone(),
        tool: missing,
    })
}

/// Returns the paths that `variables` does not have.
fn missing<'a>(used: &'a BTreeSet<String>, variables: &Map<String, Value>) -> Vec<&'a str> {
    let is_missing = |path: &&str| {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| variables.get(name));
        names
            .try_fold(first, |value, name| Some(value?.get(name)))
            .flatten()
            .is_none()
    };
    used.iter().map(String::as_str).filter(is_missing).collect()
}
