//! Selection of documents that may be tools.

use async_graphql::parser::types::{
    ExecutableDocument, OperationType, Selection, SelectionSet, VariableDefinition,
};
use thiserror::Error;

use crate::guard::{self, Document, GuardError};

/// Fields that a run may not execute: each could start runs without end, or answer for the person
/// who is to be asked.
const REFUSED: [&str; 6] = [
    "callTool",
    "chat",
    "editMessage",
    "regenerate",
    "resolveInterrupts",
    "sendMessage",
];

/// The reason why an operation cannot be a tool.
#[derive(Debug, Error)]
pub(crate) enum OperationError {
    /// The guard refuses the document.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The document does not have the operation.
    #[error("the document has no operation {0:?}")]
    Unknown(String),
    /// The document has several operations.
    #[error("the document has several operations; select one with `operation`")]
    Unclear,
    /// The operation is a subscription; a tool has one result.
    #[error("a subscription cannot be a tool; use a query or a mutation")]
    Subscription,
    /// The operation selects a field that a run may not execute.
    #[error(
        "`{0}` cannot be a tool: it starts runs or answers for people; to let an agent call \
         another, use `agents_as_tools`"
    )]
    Refused(String),
    /// The document is invalid in the schema.
    #[error("invalid document: {0}")]
    Invalid(String),
    /// The text is not a JSON Pointer.
    #[error("response_pointer {0:?} must begin with / (RFC 6901)")]
    Pointer(String),
}

/// The operation of a tool.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) variables: Vec<VariableDefinition>,
    pub(super) is_query: bool,
}

/// Returns the selected operation of a document.
pub(super) fn of(document: &Document, name: Option<&str>) -> Result<Operation, OperationError> {
    let parsed = &document.parsed;
    let operation = guard::operation(parsed, name).ok_or_else(|| match name {
        Some(name) => OperationError::Unknown(name.to_owned()),
        None => OperationError::Unclear,
    })?;
    if operation.ty == OperationType::Subscription {
        return Err(OperationError::Subscription);
    }
    if let Some(field) = refused(&operation.selection_set.node, parsed) {
        return Err(OperationError::Refused(field));
    }
    let variables = operation.variable_definitions.iter();
    Ok(Operation {
        variables: variables.map(|variable| variable.node.clone()).collect(),
        is_query: operation.ty == OperationType::Query,
    })
}

/// Returns the first field that no tool may select. All of them are top-level fields; the guard has
/// checked that fragments end.
fn refused(selections: &SelectionSet, document: &ExecutableDocument) -> Option<String> {
    selections.items.iter().find_map(|item| match &item.node {
        Selection::Field(field) => {
            let name = field.node.name.node.as_str();
            REFUSED.contains(&name).then(|| name.to_owned())
        }
        Selection::InlineFragment(fragment) => refused(&fragment.node.selection_set.node, document),
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node)?;
            refused(&fragment.node.selection_set.node, document)
        }
    })
}
