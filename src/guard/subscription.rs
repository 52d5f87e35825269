//! Inlines fragments at the top of a subscription: the executor only looks for fields and would end
//! such a subscription silently.

use std::collections::HashMap;

use async_graphql::parser::types::{
    ExecutableDocument, FragmentDefinition, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Name, Positioned};

/// The subscription root type; fragments on other types are rejected by validation.
const ROOT: &str = "Subscription";

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Inlines the fragments at the top of a document's subscriptions. The document must be measured
/// before: it has no cycles, and is small with fragments expanded.
pub(super) fn put_in_place(document: &mut ExecutableDocument) {
    let fragments = &document.fragments;
    let mut changed = false;
    for operation in operations(&mut document.operations) {
        let top = &mut operation.selection_set.node;
        if operation.ty == OperationType::Subscription && !are_fields(top) {
            *top = flat(top, fragments);
            changed |= are_fields(top);
        }
    }
    if changed {
        // Such fragments can be spread nowhere else.
        let is_on_root = |fragment: &Positioned<FragmentDefinition>| {
            fragment.node.type_condition.node.on.node == ROOT
        };
        document
            .fragments
            .retain(|_, fragment| !is_on_root(fragment));
    }
}

/// Returns true if a subscription has one top-level field, so that its events have one order
/// (GraphQL, section 5.2.4.1).
pub(crate) fn has_one_field(operation: &OperationDefinition) -> bool {
    let top = &operation.selection_set.node;
    top.items.len() == 1 && are_fields(top)
}

fn operations(
    operations: &mut async_graphql::parser::types::DocumentOperations,
) -> impl Iterator<Item = &mut OperationDefinition> {
    use async_graphql::parser::types::DocumentOperations::{Multiple, Single};
    let (single, multiple) = match operations {
        Single(operation) => (Some(operation), None),
        Multiple(operations) => (None, Some(operations.values_mut())),
    };
    let all = single.into_iter().chain(multiple.into_iter().flatten());
    all.map(|operation| &mut operation.node)
}

fn are_fields(selections: &SelectionSet) -> bool {
    let mut items = selections.items.iter();
    items.all(|item| matches!(item.node, Selection::Field(_)))
}

/// Returns selections with fragments inlined, except those with directives.
fn flat(selections: &SelectionSet, fragments: &Fragments) -> SelectionSet {
    let mut items = Vec::with_capacity(selections.items.len());
    for item in &selections.items {
        match inside(&item.node, fragments) {
            Some(inside) => items.extend(flat(inside, fragments).items),
            None => items.push(item.clone()),
        }
    }
    SelectionSet { items }
}

fn inside<'a>(selection: &'a Selection, fragments: &'a Fragments) -> Option<&'a SelectionSet> {
    if !selection.directives().is_empty() {
        return None;
    }
    let (on, selections) = match selection {
        Selection::Field(_) => return None,
        Selection::InlineFragment(fragment) => {
            let on = fragment.node.type_condition.as_ref();
            (on, &fragment.node.selection_set)
        }
        Selection::FragmentSpread(spread) => {
            let fragment = fragments.get(&spread.node.fragment_name.node)?;
            if !fragment.node.directives.is_empty() {
                return None;
            }
            let on = Some(&fragment.node.type_condition);
            (on, &fragment.node.selection_set)
        }
    };
    on.is_none_or(|on| on.node.on.node == ROOT)
        .then_some(&selections.node)
}
