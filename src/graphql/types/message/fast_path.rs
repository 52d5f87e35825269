//! Messages in lists, of which clients mostly select stored fields.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ID, ObjectType, OutputType, Positioned, Result,
    ScalarType, ServerResult, Value,
};

use super::{FullMessage, Source, StreamPosition};
use crate::graphql::types::enums::{FinishReason, Role};
use crate::graphql::types::fast_path::{self, FastPath};
use talkgraph_domain::MessageId;
use talkgraph_runtime::Transcript;

/// A [`FullMessage`] that uses the fast path where possible.
#[derive(Clone)]
pub(crate) struct Message(FullMessage);

impl Message {
    /// Wraps a loaded message.
    pub(crate) fn stored(message: Arc<talkgraph_domain::Message>) -> Self {
        Self(FullMessage::stored(message))
    }

    /// Refers to a stored message, read when more than its id is selected.
    pub(crate) fn by_id(id: MessageId) -> Self {
        Self(FullMessage::by_id(id))
    }

    /// Refers to a message as of one event of its stream.
    pub(crate) fn streamed(
        id: MessageId,
        place: StreamPosition,
        transcript: &Arc<Transcript>,
    ) -> Self {
        Self(FullMessage::streamed(id, place, transcript))
    }

    /// The message's global id, such as `msg_01jq4w0dn9e5rb6c3v8s2h7k4m`.
    pub(crate) async fn id(&self, ctx: &Context<'_>) -> Result<ID> {
        self.0.id(ctx).await
    }
}

impl OutputType for Message {
    fn type_name() -> Cow<'static, str> {
        FullMessage::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        FullMessage::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        match fast_path::resolve(self, ctx) {
            Some(value) => Ok(value),
            None => self.0.resolve(ctx, field).await,
        }
    }
}

impl ContainerType for Message {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(ctx).await
    }
}

impl ObjectType for Message {}

impl FastPath for Message {
    const INTERFACES: &'static [&'static str] = &["Node"];

    fn type_name(&self) -> &'static str {
        "Message"
    }

    fn field(&self, name: &str) -> Option<Value> {
        if name == "id" {
            return Some(self.0.id.to_string().into());
        }
        let Source::Stored(message) = &self.0.source else {
            return None;
        };
        Some(match name {
            "role" => async_graphql::resolver_utils::enum_value(Role::from(message.role)),
            "text" => message.text().into(),
            "createdAt" => message.created_at.to_value(),
            "finishReason" => message.finish_reason.map_or(Value::Null, |reason| {
                async_graphql::resolver_utils::enum_value(FinishReason::from(reason))
            }),
            _ => return None,
        })
    }
}
