//! Events as sent to subscribers.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};

use super::FastPath;
use crate::graphql::types::event::{RunEvent, RunSubscription};
use talkgraph_domain::EventBody;

/// A [`RunEvent`] that uses the fast path where possible. Most subscribers select only fields that
/// the event itself holds; the executor would create a future for each field of each event.
pub(crate) struct StreamedEvent {
    event: Arc<talkgraph_domain::RunEvent>,
    watched: RunSubscription,
}

impl StreamedEvent {
    pub(crate) fn new(event: Arc<talkgraph_domain::RunEvent>, watched: RunSubscription) -> Self {
        Self { event, watched }
    }
}

impl OutputType for StreamedEvent {
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
        if let Some(value) = super::resolve(self, ctx) {
            return Ok(value);
        }
        let event = RunEvent::new(Arc::clone(&self.event), self.watched.clone());
        event.resolve(ctx, field).await
    }
}

impl FastPath for StreamedEvent {
    const INTERFACES: &'static [&'static str] = &["RunEvent"];

    fn type_name(&self) -> &'static str {
        (&self.event.body).into()
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "sequence" => Some(self.event.sequence.into()),
            "delta" => delta(&self.event.body).map(Value::from),
            _ => None,
        }
    }
}

fn delta(body: &EventBody) -> Option<&str> {
    match body {
        EventBody::TextDelta { delta, .. }
        | EventBody::ReasoningDelta { delta, .. }
        | EventBody::ToolCallArgumentsDelta { delta, .. } => Some(delta),
        _ => None,
    }
}
