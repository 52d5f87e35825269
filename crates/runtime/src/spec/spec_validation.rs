//! The rules for agent definitions, from files and from the API.

use std::sync::Arc;

use talkgraph_domain::agent::{AgentLimits, MAX_MODELS, ModelParameters, SUMMARY_TOKENS};
use talkgraph_domain::capabilities::Effort;
use talkgraph_domain::{AgentSpec, Principal};
use talkgraph_evaluation::{Evaluator, Whom};
use talkgraph_llm::Models;
use talkgraph_tools::{McpKeepers, SchemaError, ToolRegistry, is_valid_name};

use crate::spec::extra_body;
use crate::spec::output_schema::{check_output_schema, compile_output_schema};
use crate::spec::spec_error::SpecError;
use crate::spec::team::rules;
use crate::spec::time_zone::is_time_zone;

/// The largest definition of an agent, in bytes.
pub(crate) const MAX_SPEC_BYTES: usize = 262_144;

/// The longest description, in bytes: it is one sentence.
const MAX_DESCRIPTION_BYTES: usize = 4_096;

/// The most tools of an agent: OpenAI accepts no more in one request.
const MAX_TOOLS: usize = 128;

/// The part of the model's window that an agent's summary may take.
const SUMMARY_PART: u64 = 4;

/// The rules for agent definitions on this server, with its models and tools.
pub struct Rules {
    models: Models,
    tools: Arc<ToolRegistry>,
    mcp_servers: Vec<String>,
    default_models: Vec<String>,
    evaluator: Evaluator,
}

impl Rules {
    /// Creates the rules from these models and tools, and the models of agents that name none. The
    /// tools of an MCP server with one of these names may be registered later.
    pub fn new(
        models: Models,
        tools: Arc<ToolRegistry>,
        mcp_servers: Vec<String>,
        default_models: &[String],
        evaluator: Evaluator,
    ) -> Self {
        Self {
            evaluator,
            models,
            tools,
            mcp_servers,
            default_models: default_models.to_vec(),
        }
    }

    /// Checks a definition from the API: everything in [`Rules`], and the fields reserved for
    /// operators.
    ///
    /// # Errors
    /// The first invalid field.
    pub async fn check(&self, who: &Principal, spec: &AgentSpec) -> Result<(), SpecError> {
        check(spec)?;
        extra_body::check_reserved(&spec.parameters.extra_body)?;
        evaluate(&self.evaluator, who.into(), spec).await?;
        self.check_here(spec)
    }

    /// The evaluator of the rules.
    pub(crate) fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Checks a definition against the models and tools of this server.
    pub(crate) fn check_here(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.check_models("model", &spec.models)?;
        self.check_prices(spec)?;
        self.check_summary(spec)?;
        let missing = |tool: &&String| self.tools.get(tool).is_none() && !self.may_come(tool);
        if let Some(tool) = spec.tools.iter().find(missing) {
            let tools = self.tools.all();
            let there = tools.keys().cloned().collect::<Vec<_>>().join(", ");
            let why = format!("there is no tool {tool:?} (there is: {there})");
            return Err(SpecError::new("tools", why));
        }
        Ok(())
    }

    fn check_models(&self, field: &str, models: &[String]) -> Result<(), SpecError> {
        let Some(model) = models.iter().find(|model| !self.models.knows(model)) else {
            return Ok(());
        };
        let there = self.models.provider_names().collect::<Vec<_>>().join(", ");
        let why = format!("{model:?} needs a provider that is not configured (there is: {there})");
        Err(SpecError::new(field, why))
    }

    fn models_of<'a>(&'a self, spec: &'a AgentSpec) -> &'a [String] {
        match spec.models.as_slice() {
            [] => &self.default_models,
            own => own,
        }
    }

    /// Checks that the summary leaves room in the window.
    fn check_summary(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        let Some(summary) = &spec.summary else {
            return Ok(());
        };
        self.check_models("summary.model", &summary.models)?;
        let first = self.models_of(spec).first();
        let window = first.and_then(|model| Some((model, self.models.window(model)?)));
        match window {
            Some((model, window)) if u64::from(summary.tokens()) > window / SUMMARY_PART => {
                let most = window / SUMMARY_PART;
                let why = format!("at most {most} for the window of {model}");
                Err(SpecError::new("summary.max_output_tokens", why))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the cost of the models is known if the agent limits it.
    fn check_prices(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        if spec.limits.max_cost_usd.is_none() {
            return Ok(());
        }
        let summary = spec.summary.iter().flat_map(|summary| &summary.models);
        let mut models = self.models_of(spec).iter().chain(summary);
        match models.find(|model| self.models.price(model).is_none()) {
            Some(model) => {
                let why =
                    format!("{model} has no price in the settings, so there is no limit to it");
                Err(SpecError::new("limits.max_cost_usd", why))
            }
            None => Ok(()),
        }
    }

    /// True for tools of a server that may be unreachable now.
    fn may_come(&self, tool: &str) -> bool {
        let mut servers = self.mcp_servers.iter();
        servers.any(|server| McpKeepers::may_have(server, tool))
    }
}

/// Checks that the schema and the instructions can be evaluated within their limits.
pub(crate) async fn evaluate(
    evaluator: &Evaluator,
    who: Whom<'_>,
    spec: &AgentSpec,
) -> Result<(), SpecError> {
    if let Some(schema) = &spec.output_schema {
        let compiled = compile_output_schema(evaluator, who, schema).await;
        compiled.map_err(|error| match error {
            SchemaError::Unchecked(failure) => SpecError::unchecked("output_schema", failure),
            error => SpecError::new("output_schema", error.to_string()),
        })?;
    }
    let checked = evaluator.check_instructions(who, &spec.instructions).await;
    checked.map_err(|failure| match failure {
        failure if failure.is_temporary() => SpecError::unchecked("instructions", failure),
        failure => SpecError::new("instructions", failure.to_string()),
    })
}

/// Checks the parts of a definition that are the same on every server and need no evaluation.
pub(crate) fn check(spec: &AgentSpec) -> Result<(), SpecError> {
    check_texts(spec)?;
    check_models("model", &spec.models)?;
    if let Some(summary) = &spec.summary {
        check_models("summary.model", &summary.models)?;
        let tokens = summary.max_output_tokens;
        if tokens.is_some_and(|tokens| !SUMMARY_TOKENS.contains(&tokens)) {
            let (least, most) = (SUMMARY_TOKENS.start(), SUMMARY_TOKENS.end());
            let why = format!("must be from {least} to {most}");
            return Err(SpecError::new("summary.max_output_tokens", why));
        }
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
    rules::check(spec)?;
    check_parameters(&spec.parameters)?;
    check_limits(&spec.limits)
}

fn check_models(field: &str, models: &[String]) -> Result<(), SpecError> {
    if models.len() > MAX_MODELS {
        let why = format!("must name at most {MAX_MODELS} models");
        return Err(SpecError::new(field, why));
    }
    let named = |model: &String| {
        let parts = model.split_once('/');
        parts.is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty())
    };
    if !models.iter().all(named) {
        let why = "must be provider/model, such as openai/gpt-6-luna";
        return Err(SpecError::new(field, why));
    }
    match models.iter().any(|model| model.contains('\0')) {
        true => Err(SpecError::new(field, "must not contain U+0000")),
        false => Ok(()),
    }
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
    // No database stores U+0000.
    if let Some((field, ..)) = texts.iter().find(|(_, text, _)| text.contains('\0')) {
        return Err(SpecError::new(field, "must not contain U+0000"));
    }
    if let Some(zone) = &spec.time_zone
        && !is_time_zone(zone)
    {
        let why =
            format!("{zone:?} is no name of the IANA time zone database, such as Europe/Zurich");
        return Err(SpecError::new("time_zone", why));
    }
    if let Some(schema) = &spec.output_schema {
        check_output_schema(schema).map_err(|why| SpecError::new("output_schema", why))?;
    }
    match spec.instructions.trim().is_empty() {
        true => Err(SpecError::new("instructions", "must not be empty")),
        false => Ok(()),
    }
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
    )?;
    check_thinking(parameters)?;
    extra_body::check(&parameters.extra_body)
}

fn check_thinking(parameters: &ModelParameters) -> Result<(), SpecError> {
    let budget = parameters.thinking_budget_tokens;
    at_least_1("parameters.thinking_budget_tokens", budget.map(u64::from))?;
    if parameters.thinking == Some(false) && budget.is_some() {
        let why = "needs thinking, which parameters.thinking switches off";
        return Err(SpecError::new("parameters.thinking_budget_tokens", why));
    }
    if parameters.thinking == Some(true) && parameters.reasoning_effort == Some(Effort::None) {
        let why = "contradicts parameters.reasoning_effort, which is none";
        return Err(SpecError::new("parameters.thinking", why));
    }
    if let (Some(budget), Some(most)) = (budget, parameters.max_output_tokens)
        && budget >= most
    {
        let why = format!("must be less than parameters.max_output_tokens ({most})");
        return Err(SpecError::new("parameters.thinking_budget_tokens", why));
    }
    Ok(())
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
