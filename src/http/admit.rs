//! Preparation common to all transports: finds a request's document, has the guard check it and
//! parses its variables.

use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Request, Variables};

use super::Server;
use super::error::Refusal;
use super::parameters::Parameters;
use crate::graphql::{ResponseBytes, is_following};
use crate::guard::{self, GuardError};
use talkgraph_domain::Principal;
use talkgraph_tools::CallerHeaders;

/// A request that may be executed.
pub(super) struct Operation {
    pub(super) request: Request,
    pub(super) kind: Kind,
    /// Reported to clients that request it.
    pub(super) complexity: Option<Complexity>,
    /// The budget of the response, charged while it is built.
    pub(super) budget: ResponseBytes,
}

/// The kind of the operation to execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    /// Follows events without effects.
    Follow,
    /// Starts a run when subscribed to.
    Start,
}

impl Kind {
    pub(super) fn is_subscription(self) -> bool {
        matches!(self, Self::Follow | Self::Start)
    }
}

/// The complexity of a request and its limit.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Complexity {
    complexity: u64,
    limit: u64,
    depth: usize,
    fields: usize,
}

/// Prepares a request of a caller with these headers.
pub(super) fn admit(
    server: &Server,
    parameters: &Parameters<'_>,
    who: &Principal,
    headers: &CallerHeaders,
) -> Result<Operation, Refusal> {
    let asked = parameters.asked();
    let text = server.persisted.resolve(asked)?;
    let document = server.guard.read(&text)?;
    server.persisted.register(asked);
    let variables = match &parameters.variables {
        Some(raw) => guard::parse_variables(raw, server.guard.limits())?,
        None => Variables::default(),
    };
    let name = parameters.operation_name.as_deref();
    let operation = guard::operation(&document.parsed, name)
        .ok_or_else(|| GuardError::Operation(unclear(&document.parsed, name)))?;
    let kind = kind(operation);
    if kind.is_subscription() && !guard::has_one_field(operation) {
        return Err(GuardError::SubscriptionFields.into());
    }
    server.guard.check_variables(operation, &variables)?;
    let complexity = server.guard.complexity(&document, operation, &variables)?;
    let complexity = parameters.extensions.complexity.then(|| Complexity {
        complexity,
        limit: server.guard.limits().query_complexity,
        depth: document.measured.depth,
        fields: document.measured.fields,
    });
    let budget = ResponseBytes::new(server.guard.limits().response_bytes);
    let mut request = Request::new(&*text)
        .variables(variables)
        .data(who.clone())
        .data(headers.clone())
        .data(budget.clone());
    request.operation_name = name.map(str::to_owned);
    request.set_parsed_query(document.parsed.clone());
    Ok(Operation {
        request,
        kind,
        complexity,
        budget,
    })
}

fn unclear(document: &ExecutableDocument, name: Option<&str>) -> String {
    let names: Vec<&str> = document
        .operations
        .iter()
        .filter_map(|(name, _)| name.map(|name| name.as_str()))
        .collect();
    match name {
        Some(name) => format!("the document has no operation named {name:?}"),
        None => format!(
            "the document has {} operations; select one with `operationName`",
            names.len()
        ),
    }
}

fn kind(operation: &OperationDefinition) -> Kind {
    match operation.ty {
        OperationType::Query => Kind::Query,
        OperationType::Mutation => Kind::Mutation,
        OperationType::Subscription if follows(&operation.selection_set.node) => Kind::Follow,
        OperationType::Subscription => Kind::Start,
    }
}

/// Returns true if all selected subscriptions are without effects.
fn follows(selections: &SelectionSet) -> bool {
    selections.items.iter().all(
        |item| matches!(&item.node, Selection::Field(field) if is_following(&field.node.name.node)),
    )
}
