//! The tools that are operations of the server's own schema.

use std::sync::Arc;

use super::Approvals;
use crate::config::{ConfigError, OperationToolSettings, ToolSettings, ms};
use crate::graphql::ApiSchema;
use crate::guard::Persisted;
use crate::operation::{Endpoint, OperationSpec, OperationTool};
use talkgraph_tools::{Approval, RegisterError, ToolDefinition, ToolRegistry};

const DOCUMENT: &str = "tools.operations.document";

/// The parts of operations.
pub(in crate::app) struct Documents<'a> {
    pub(in crate::app) endpoint: &'a Endpoint,
    pub(in crate::app) trusted: &'a Persisted,
    pub(in crate::app) sdl: &'a str,
}

/// The operations by their names as tools.
pub(in crate::app) type Operations = Vec<(String, Arc<OperationTool>)>;

pub(super) async fn add(
    registry: &ToolRegistry,
    settings: &ToolSettings,
    documents: &Documents<'_>,
    approvals: &mut Approvals,
) -> Result<Operations, ConfigError> {
    let mut operations = Operations::new();
    for tool in &settings.operations {
        let built = OperationTool::new(documents.endpoint, spec(tool, documents.trusted)?);
        let built = Arc::new(built.map_err(|error| invalid(&tool.name, error))?);
        let definition = ToolDefinition {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: built.parameters(documents.sdl),
            idempotent: built.is_query() || tool.idempotent,
            approval: approvals.remove(&tool.name).unwrap_or(Approval::Never),
            timeout: ms(tool.timeout_ms.unwrap_or(settings.timeout_ms)),
            output_bytes: settings.output_bytes,
        };
        let inserted = registry.insert(definition, Arc::clone(&built) as _).await;
        inserted.map_err(|error| match error {
            RegisterError::Schema { name, error } => invalid(&name, error),
            error => ConfigError::invalid("tools.operations.name", error.to_string()),
        })?;
        operations.push((tool.name.clone(), built));
    }
    Ok(operations)
}

/// Validates all of them against the schema, before the first call.
pub(in crate::app) async fn validate(
    operations: &Operations,
    schema: &ApiSchema,
) -> Result<(), ConfigError> {
    for (name, operation) in operations {
        let validated = operation.validate(schema).await;
        validated.map_err(|error| invalid(name, error))?;
    }
    Ok(())
}

fn invalid(name: &str, why: impl std::fmt::Display) -> ConfigError {
    ConfigError::invalid(DOCUMENT, format!("of {name}: {why}"))
}

fn spec(tool: &OperationToolSettings, trusted: &Persisted) -> Result<OperationSpec, ConfigError> {
    let document = match (&tool.document, &tool.document_id) {
        (Some(document), None) => document.as_str().into(),
        (None, Some(id)) => trusted.trusted(id).ok_or_else(|| {
            let why = format!("of {}: documents.manifest has no {id:?}", tool.name);
            ConfigError::invalid("tools.operations.document_id", why)
        })?,
        _ => return Err(invalid(&tool.name, "give `document` or `document_id`")),
    };
    Ok(OperationSpec {
        document,
        operation: tool.operation.clone(),
        response_pointer: tool.response_pointer.clone(),
    })
}
