//! Pages of messages, resolved by the fast path where possible.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::connection::{Connection, CursorType};
use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};

use super::Message;
use crate::graphql::connection::{Cursor, Position, connection};
use crate::graphql::types::fast_path::{self, FastPath};
use talkgraph_domain::Page;

type MessageConnection = Connection<Cursor, Message>;

/// A connection of messages by their position in the branch.
pub(crate) struct MessagePage(pub(crate) Page<Arc<talkgraph_domain::Message>>);

impl MessagePage {
    fn edges(&self) -> impl Iterator<Item = MessageEdge<'_>> {
        self.0.items.iter().map(MessageEdge)
    }

    fn to_connection(&self) -> MessageConnection {
        connection(self.0.clone(), |message| {
            (message.position, Message::stored(message))
        })
    }
}

impl OutputType for MessagePage {
    fn type_name() -> Cow<'static, str> {
        <MessageConnection as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        MessageConnection::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        match fast_path::resolve(self, ctx) {
            Some(value) => Ok(value),
            None => self.to_connection().resolve(ctx, field).await,
        }
    }
}

impl FastPath for MessagePage {
    const INTERFACES: &'static [&'static str] = &[];

    fn type_name(&self) -> &'static str {
        "MessageConnection"
    }

    fn field(&self, _: &str) -> Option<Value> {
        None
    }

    fn object(&self, field: &Field, ctx: &ContextSelectionSet<'_>) -> Option<Value> {
        let selections = &field.selection_set.node;
        let all: Option<Vec<_>> = match field.name.node.as_str() {
            "edges" => self
                .edges()
                .map(|edge| fast_path::selected(&edge, selections, ctx))
                .collect(),
            "nodes" => self
                .edges()
                .map(|edge| fast_path::selected(&edge.node(), selections, ctx))
                .collect(),
            "pageInfo" => return fast_path::selected(&Around(self), selections, ctx),
            _ => None,
        };
        all.map(Value::List)
    }
}

struct MessageEdge<'a>(&'a Arc<talkgraph_domain::Message>);

impl MessageEdge<'_> {
    fn node(&self) -> Message {
        Message::stored(Arc::clone(self.0))
    }

    fn cursor(&self) -> Value {
        self.0.position.to_cursor().encode_cursor().into()
    }
}

impl FastPath for MessageEdge<'_> {
    const INTERFACES: &'static [&'static str] = &[];

    fn type_name(&self) -> &'static str {
        "MessageEdge"
    }

    fn field(&self, name: &str) -> Option<Value> {
        (name == "cursor").then(|| self.cursor())
    }

    fn object(&self, field: &Field, ctx: &ContextSelectionSet<'_>) -> Option<Value> {
        let is_node = field.name.node == "node";
        is_node.then(|| fast_path::selected(&self.node(), &field.selection_set.node, ctx))?
    }
}

/// The `pageInfo` of a page.
struct Around<'a>(&'a MessagePage);

impl FastPath for Around<'_> {
    const INTERFACES: &'static [&'static str] = &[];

    fn type_name(&self) -> &'static str {
        "PageInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let page = self.0;
        let cursor = |edge: Option<MessageEdge<'_>>| edge.map_or(Value::Null, |edge| edge.cursor());
        Some(match name {
            "hasPreviousPage" => page.0.has_previous.into(),
            "hasNextPage" => page.0.has_next.into(),
            "startCursor" => cursor(page.edges().next()),
            "endCursor" => cursor(page.edges().last()),
            _ => return None,
        })
    }
}
