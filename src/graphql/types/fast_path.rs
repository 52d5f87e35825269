//! A fast path around the executor, which creates a future for each field of each object. Where a
//! selection only has stored fields, their values are assembled at once.

pub(crate) mod event;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{ContextSelectionSet, Name, Value};

use crate::graphql::ResponseBytes;

/// An object with fields that resolve without the executor.
pub(crate) trait FastPath {
    /// Returns the name of the type.
    fn type_name(&self) -> &'static str;

    /// The interfaces that the object can be selected through.
    const INTERFACES: &'static [&'static str];

    /// Returns the value of a field; `None` if it needs the executor.
    fn field(&self, name: &str) -> Option<Value>;

    /// Returns the selection of an object field; `None` if it needs the executor.
    fn object(&self, _field: &Field, _ctx: &ContextSelectionSet<'_>) -> Option<Value> {
        None
    }
}

/// Resolves the selection of an object; `None` if any of it needs the executor. The document is
/// valid by then, with `@skip` and `@include` already applied.
pub(crate) fn resolve<T: FastPath>(object: &T, ctx: &ContextSelectionSet<'_>) -> Option<Value> {
    let budget = ctx.data_opt::<ResponseBytes>();
    let before = budget.map_or(0, ResponseBytes::used);
    let value = selected(object, &ctx.item.node, ctx);
    if let (None, Some(budget)) = (&value, budget) {
        // The executor charges for all of it again and reports an exceeded budget.
        budget.refund_to(before);
    }
    value
}

/// Resolves like [`resolve`], for an object nested in the resolved one.
pub(crate) fn selected<T: FastPath>(
    object: &T,
    selections: &SelectionSet,
    ctx: &ContextSelectionSet<'_>,
) -> Option<Value> {
    let mut values = IndexMap::with_capacity(selections.items.len());
    select(object, selections, ctx, &mut values)?;
    Some(Value::Object(values))
}

fn select<T: FastPath>(
    object: &T,
    selections: &SelectionSet,
    ctx: &ContextSelectionSet<'_>,
    values: &mut IndexMap<Name, Value>,
) -> Option<()> {
    let type_name = object.type_name();
    let budget = ctx.data_opt::<ResponseBytes>();
    for selection in &selections.items {
        let (condition, selections) = match &selection.node {
            Selection::Field(field) => {
                let field = &field.node;
                let key = field.response_key().node.clone();
                let has_fields = !field.selection_set.node.items.is_empty();
                let value = match field.name.node.as_str() {
                    _ if !field.directives.is_empty() => return None,
                    // The selections of both would have to be merged.
                    _ if has_fields && values.contains_key(&key) => return None,
                    _ if has_fields => object.object(field, ctx)?,
                    "__typename" => type_name.into(),
                    name => object.field(name)?,
                };
                if let (Value::String(text), Some(budget)) = (&value, budget) {
                    budget.charge(text.len()).ok()?;
                }
                // Leaf fields with the same key have the same value.
                values.insert(key, value);
                continue;
            }
            Selection::InlineFragment(fragment) => {
                let fragment = &fragment.node;
                (fragment.type_condition.as_ref(), &fragment.selection_set)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = &ctx.query_env.fragments.get(name)?.node;
                (Some(&fragment.type_condition), &fragment.selection_set)
            }
        };
        let on = condition.map(|condition| condition.node.on.node.as_str());
        // Other conditions name other types: there are no other interfaces.
        if on.is_none_or(|on| on == type_name || T::INTERFACES.contains(&on)) {
            select(object, &selections.node, ctx, values)?;
        }
    }
    Some(())
}
