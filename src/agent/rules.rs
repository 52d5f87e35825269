//! What an agent may be, wherever it is defined.

use std::sync::Arc;

use thiserror::Error;

use crate::domain::AgentSpec;
use crate::domain::agent::{AgentLimits, MAX_MODELS, ModelParameters};
use crate::llm::Models;
use crate::tool::{McpKeepers, ToolRegistry, is_valid_name};

use super::structured::check_output_schema;
use super::{team, template};

/// The largest configuration of an agent, in bytes: of its file, or of what the API was given.
pub(super) const MAX_SPEC_BYTES: usize = 262_144;

/// The longest description, in bytes: it is one sentence.
const MAX_DESCRIPTION_BYTES: usize = 4_096;

/// The most tools of an agent: what OpenAI takes in one request.
const MAX_TOOLS: usize = 128;

/// Why an agent cannot be had: whoever defines it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {why}")]
pub struct SpecError {
    /// The field's path, as in a file: `limits.max_steps`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl SpecError {
    pub(super) fn new(field: &str, why: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            why: why.into(),
        }
    }
}

/// What an agent may be on this server: the models and tools that there are.
pub struct Rules {
    models: Models,
    tools: Arc<ToolRegistry>,
    mcp_servers: Vec<String>,
    default_models: Vec<String>,
}

impl Rules {
    /// With these models and tools, and the models of agents that name none. The tools of an MCP server with one of these names may be
    /// there later.
    pub fn new(
        models: Models,
        tools: Arc<ToolRegistry>,
        mcp_servers: Vec<String>,
        default_models: &[String],
    ) -> Self {
        Self {
            models,
            tools,
            mcp_servers,
            default_models: default_models.to_vec(),
        }
    }

    /// Refuses what no run could work with.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        check(spec)?;
        if let Some(model) = spec.models.iter().find(|model| !self.models.knows(model)) {
            let there = self.models.provider_names().collect::<Vec<_>>().join(", ");
            let why =
                format!("{model:?} needs a provider that is not configured (there is: {there})");
            return Err(SpecError::new("model", why));
        }
        self.check_prices(spec)?;
        let missing = |tool: &&String| self.tools.get(tool).is_none() && !self.may_come(tool);
        if let Some(tool) = spec.tools.iter().find(missing) {
            let tools = self.tools.all();
            let there = tools.keys().cloned().collect::<Vec<_>>().join(", ");
            let why = format!("there is no tool {tool:?} (there is: {there})");
            return Err(SpecError::new("tools", why));
        }
        Ok(())
    }

    /// A limit that nothing could be compared with would be none.
    fn check_prices(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        if spec.limits.max_cost_usd.is_none() {
            return Ok(());
        }
        let mut models = match spec.models.as_slice() {
            [] => self.default_models.iter(),
            own => own.iter(),
        };
        match models.find(|model| self.models.price(model).is_none()) {
            Some(model) => {
                let why =
                    format!("{model} has no price in the settings, so there is no limit to it");
                Err(SpecError::new("limits.max_cost_usd", why))
            }
            None => Ok(()),
        }
    }

    /// The tools of a server that cannot be reached now may be there later.
    fn may_come(&self, tool: &str) -> bool {
        let server = McpKeepers::server_of(tool);
        server.is_some_and(|server| self.mcp_servers.iter().any(|there| there == server))
    }
}

/// Refuses what no run could work with on any server.
pub(super) fn check(spec: &AgentSpec) -> Result<(), SpecError> {
    check_texts(spec)?;
    if spec.models.len() > MAX_MODELS {
        let why = format!("must name at most {MAX_MODELS} models");
        return Err(SpecError::new("model", why));
    }
    let named = |model: &String| {
        let parts = model.split_once('/');
        parts.is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty())
    };
    if !spec.models.iter().all(named) {
        let why = "must be provider/model, such as openai/gpt-4.1-mini";
        return Err(SpecError::new("model", why));
    }
    if let Some(name) = spec.tools.iter().find(|name| !is_valid_name(name)) {
        return Err(SpecError::new(
            "tools",
            format!("{name:?} is no name of a tool"),
        ));
    }
    if spec.tools.len() > MAX_TOOLS {
        return Err(SpecError::new("tools", format!("at most {MAX_TOOLS}")));
    }
    team::check(spec)?;
    check_parameters(&spec.parameters)?;
    check_limits(&spec.limits)
}

fn check_texts(spec: &AgentSpec) -> Result<(), SpecError> {
    let named = (1..=64).contains(&spec.name.len())
        && spec
            .name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !named {
        let why = "must be 1 to 64 lower-case letters, digits and dashes";
        return Err(SpecError::new("name", why));
    }
    if spec.description.trim().is_empty() {
        return Err(SpecError::new("description", "must not be empty"));
    }
    let texts = [
        ("description", &spec.description, MAX_DESCRIPTION_BYTES),
        ("instructions", &spec.instructions, MAX_SPEC_BYTES),
    ];
    for (field, text, most) in texts {
        if text.len() > most {
            return Err(SpecError::new(field, format!("at most {most} bytes")));
        }
    }
    // No database keeps it, and nobody types it.
    let all = texts.iter().map(|(field, text, _)| (*field, *text));
    let named = spec.models.iter().map(|model| ("model", model));
    if let Some((field, _)) = all.chain(named).find(|(_, text)| text.contains('\0')) {
        return Err(SpecError::new(field, "must not contain U+0000"));
    }
    if let Some(schema) = &spec.output_schema {
        check_output_schema(schema).map_err(|why| SpecError::new("output_schema", why))?;
    }
    template::check_instructions(&spec.instructions)
        .map_err(|error| SpecError::new("instructions", error))
}

fn check_parameters(parameters: &ModelParameters) -> Result<(), SpecError> {
    if parameters
        .temperature
        .is_some_and(|value| !(0.0..=2.0).contains(&value))
    {
        return Err(SpecError::new(
            "parameters.temperature",
            "must be from 0 to 2",
        ));
    }
    if parameters
        .top_p
        .is_some_and(|value| !(value > 0.0 && value <= 1.0))
    {
        let why = "must be above 0 and at most 1";
        return Err(SpecError::new("parameters.top_p", why));
    }
    at_least_1(
        "parameters.max_output_tokens",
        parameters.max_output_tokens.map(u64::from),
    )
}

fn check_limits(limits: &AgentLimits) -> Result<(), SpecError> {
    at_least_1("limits.max_steps", limits.max_steps.map(u64::from))?;
    at_least_1("limits.run_timeout_s", limits.run_timeout_s)?;
    at_least_1("limits.step_timeout_s", limits.step_timeout_s)?;
    match limits.max_cost_usd {
        Some(dollars) if !(dollars.is_finite() && dollars > 0.0) => {
            Err(SpecError::new("limits.max_cost_usd", "must be above 0"))
        }
        _ => Ok(()),
    }
}

fn at_least_1(field: &str, value: Option<u64>) -> Result<(), SpecError> {
    match value {
        Some(0) => Err(SpecError::new(field, "must be at least 1")),
        _ => Ok(()),
    }
}
