//! The built-in tools.

use std::sync::Arc;

use serde_json::Value;

use super::Approvals;
use super::egress::Egress;
use crate::config::{ConfigError, HttpFetchSettings, ToolSettings, ms};
use talkgraph_evaluation::Evaluator;
use talkgraph_tools::{
    Approval, Calculator, CurrentTime, HttpFetch, Memories, MemorySave, MemorySearch, Tool,
    ToolDefinition, ToolRegistry,
};

const KEY: &str = "tools.builtin";

type Built = (&'static str, Value, Arc<dyn Tool>);

/// Shared parts of some built-in tools.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) egress: &'a Egress,
    pub(super) memories: &'a Arc<dyn Memories>,
    pub(super) evaluator: &'a Evaluator,
}

pub(super) async fn add(
    registry: &ToolRegistry,
    settings: &ToolSettings,
    own: Parts<'_>,
    approvals: &mut Approvals,
) -> Result<(), ConfigError> {
    for name in &settings.builtin {
        let (description, parameters, tool) = built(name, settings, own)?;
        let definition = ToolDefinition {
            name: name.clone(),
            description: description.to_owned(),
            parameters,
            idempotent: true,
            approval: approvals.remove(name).unwrap_or(Approval::Never),
            timeout: ms(settings.timeout_ms),
            output_bytes: settings.output_bytes,
        };
        let inserted = registry.insert(definition, tool).await;
        inserted.map_err(|error| ConfigError::invalid(KEY, error.to_string()))?;
    }
    Ok(())
}

fn built(name: &str, settings: &ToolSettings, own: Parts<'_>) -> Result<Built, ConfigError> {
    Ok(match name {
        CurrentTime::NAME => (
            CurrentTime::DESCRIPTION,
            CurrentTime::parameters(),
            Arc::new(CurrentTime),
        ),
        Calculator::NAME => (
            Calculator::DESCRIPTION,
            Calculator::parameters(),
            Arc::new(Calculator(own.evaluator.clone())),
        ),
        HttpFetch::NAME => (
            HttpFetch::DESCRIPTION,
            HttpFetch::parameters(),
            Arc::new(http_fetch(&settings.http_fetch, own.egress)?),
        ),
        MemorySave::NAME => (
            MemorySave::DESCRIPTION,
            MemorySave::parameters(),
            Arc::new(MemorySave(Arc::clone(own.memories))),
        ),
        MemorySearch::NAME => (
            MemorySearch::DESCRIPTION,
            MemorySearch::parameters(),
            Arc::new(MemorySearch(Arc::clone(own.memories))),
        ),
        _ => {
            let why = format!("there is no built-in tool {name:?}");
            return Err(ConfigError::invalid(KEY, why));
        }
    })
}

fn http_fetch(settings: &HttpFetchSettings, egress: &Egress) -> Result<HttpFetch, ConfigError> {
    let client = egress.client(egress.policy().clone(), settings.redirects)?;
    let (bytes, decoded_bytes) = (settings.body_bytes, settings.decoded_bytes);
    Ok(HttpFetch::new(client, bytes, decoded_bytes))
}
