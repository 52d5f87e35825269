//! Which documents may be tools.

use async_graphql::parser::types::{
    ExecutableDocument, OperationType, Selection, SelectionSet, VariableDefinition,
};
use thiserror::Error;

use crate::guard::{self, Document, GuardError};

/// What a run may not have executed: each could start runs without end, or answer in the place
/// of the person who was to be asked.
const REFUSED: [&str; 6] = [
    "callTool",
    "chat",
    "editMessage",
    "regenerate",
    "resolveInterrupts",
    "sendMessage",
];

/// Why an operation is no tool.
#[derive(Debug, Error)]
pub(crate) enum OperationError {
    /// A client could not send the document either.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// It is not clear what would be executed.
    #[error("the document has no operation {0:?}")]
    Unknown(String),
    /// The document has several.
    #[error("the document has several operations; `operation` must say which")]
    Unclear,
    /// A tool has one answer.
    #[error("a subscription is no tool; use a query or a mutation")]
    Subscription,
    /// A field that a run may not call.
    #[error(
        "`{0}` is not for tools: it starts runs or answers for people; `agents_as_tools` lets \
         one agent ask another"
    )]
    Refused(String),
    /// The document does not fit the schema.
    #[error("not valid: {0}")]
    Invalid(String),
    /// Not a JSON Pointer.
    #[error("response_pointer {0:?} must begin with / (RFC 6901)")]
    Pointer(String),
}

/// What is executed.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) variables: Vec<VariableDefinition>,
    pub(super) is_query: bool,
}

/// The operation of a document that is meant.
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

/// The first field of these that no tool may have. Only fields at the top can be any of them;
/// the guard has seen to it that fragments end.
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
