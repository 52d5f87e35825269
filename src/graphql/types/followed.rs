//! What a subscriber is told of an event.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value};

use super::event::{RunEvent, Watched};
use crate::domain::{self, EventBody};

/// A [`RunEvent`] that takes a short cut where it can. Most subscribers select what the event
/// itself has; the executor would make a future for each of these fields, for each event.
pub(crate) struct Followed {
    event: Arc<domain::RunEvent>,
    watched: Watched,
}

impl Followed {
    pub(crate) fn new(event: Arc<domain::RunEvent>, watched: Watched) -> Self {
        Self { event, watched }
    }
}

impl OutputType for Followed {
    fn type_name() -> Cow<'static, str> {
        RunEvent::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        RunEvent::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let mut values = IndexMap::new();
        let selections = &ctx.item.node;
        if select(&self.event, selections, ctx, &mut values).is_some() {
            return Ok(Value::Object(values));
        }
        let event = RunEvent::new(Arc::clone(&self.event), self.watched.clone());
        event.resolve(ctx, field).await
    }
}

/// The name of [`RunEvent`] in GraphQL.
const INTERFACE: &str = "RunEvent";

/// Takes what is selected from the event itself. None if there is anything else; a document
/// that comes so far is valid, and `@skip` and `@include` are gone from it.
fn select(
    event: &domain::RunEvent,
    selections: &SelectionSet,
    ctx: &ContextSelectionSet<'_>,
    values: &mut IndexMap<Name, Value>,
) -> Option<()> {
    let name: &'static str = (&event.body).into();
    for selection in &selections.items {
        let (condition, selections) = match &selection.node {
            Selection::Field(field) => {
                let field = &field.node;
                let value = match field.name.node.as_str() {
                    _ if !field.directives.is_empty() => return None,
                    "sequence" => event.sequence.into(),
                    "delta" => delta(&event.body)?.into(),
                    "__typename" => name.into(),
                    _ => return None,
                };
                // Fields of the same key are of the same value.
                values.insert(field.response_key().node.clone(), value);
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
        // Other conditions are other events: there is no other interface.
        if on.is_none_or(|on| on == name || on == INTERFACE) {
            select(event, &selections.node, ctx, values)?;
        }
    }
    Some(())
}

fn delta(body: &EventBody) -> Option<&str> {
    match body {
        EventBody::TextDelta { delta, .. }
        | EventBody::ReasoningDelta { delta, .. }
        | EventBody::ToolCallArgumentsDelta { delta, .. } => Some(delta),
        _ => None,
    }
}
