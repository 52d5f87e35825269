//! The tools that are HTTP requests.

use std::sync::Arc;

use serde_json::Value;

use super::egress::Egress;
use super::{Approvals, header_names, secrets};
use crate::config::{ConfigError, HttpToolSettings, ToolSettings, ms};
use talkgraph_evaluation::Evaluator;
use talkgraph_tools::{
    Approval, HttpTool, HttpToolError, HttpToolKey, HttpToolSpec, RegisterError, ToolDefinition,
    ToolRegistry,
};

pub(super) async fn add(
    registry: &ToolRegistry,
    settings: &ToolSettings,
    egress: &Egress,
    evaluator: &Evaluator,
    approvals: &mut Approvals,
) -> Result<(), ConfigError> {
    for tool in &settings.http {
        let definition = ToolDefinition {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: parameters(tool)?,
            idempotent: tool.idempotent,
            approval: approvals.remove(&tool.name).unwrap_or(Approval::Never),
            timeout: ms(tool.timeout_ms.unwrap_or(settings.timeout_ms)),
            output_bytes: settings.output_bytes,
        };
        let built = built(tool, settings, egress, evaluator).await?;
        let inserted = registry.insert(definition, Arc::new(built)).await;
        inserted.map_err(|error| {
            let key = match error {
                RegisterError::Schema { .. } => "tools.http.parameters",
                _ => "tools.http.name",
            };
            ConfigError::invalid(key, error.to_string())
        })?;
    }
    Ok(())
}

async fn built(
    tool: &HttpToolSettings,
    settings: &ToolSettings,
    egress: &Egress,
    evaluator: &Evaluator,
) -> Result<HttpTool, ConfigError> {
    let key = "tools.http.forward_headers";
    let spec = HttpToolSpec {
        method: tool.method.clone(),
        url: tool.url.expose().to_owned(),
        body: tool.body.as_ref().map(|body| body.expose().to_owned()),
        headers: secrets(&tool.headers),
        forward_headers: header_names(key, &tool.name, &tool.forward_headers)?,
        response_pointer: tool.response_pointer.clone(),
        response_bytes: settings.response_bytes,
    };
    // A redirect would carry the tool's headers to somewhere else: it is the answer.
    let built = HttpTool::new(evaluator, spec, egress.policy(), |policy| {
        egress.client(policy, 0)
    });
    let built = built.await?;
    built.map_err(|HttpToolError { key, why }| {
        let key = match key {
            HttpToolKey::Method => "tools.http.method",
            HttpToolKey::Url => "tools.http.url",
            HttpToolKey::Body => "tools.http.body",
            HttpToolKey::Headers => "tools.http.headers",
            HttpToolKey::ResponsePointer => "tools.http.response_pointer",
        };
        ConfigError::invalid(key, format!("of {}: {why}", tool.name))
    })
}

/// The JSON Schema, which may be written as a table or as JSON in a string.
fn parameters(tool: &HttpToolSettings) -> Result<Value, ConfigError> {
    match &tool.parameters {
        Value::String(json) => serde_json::from_str(json).map_err(|error| {
            let why = format!("of {}: not JSON: {error}", tool.name);
            ConfigError::invalid("tools.http.parameters", why)
        }),
        table => Ok(table.clone()),
    }
}
