//! Values of unbounded size: each is charged to the response's budget where it is resolved, before
//! it is copied.

use std::borrow::Cow;
use std::io;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, Json, OutputType, Positioned, ServerResult, Value};
use serde::Serialize;

use crate::graphql::ResponseBytes;

/// The fields whose values are unbounded.
pub(crate) const LARGE: [&str; 17] = [
    "arguments",
    "content",
    "data",
    "delta",
    "description",
    "extraBody",
    "input",
    "instructions",
    "message",
    "metadata",
    "outputSchema",
    "parameters",
    "reason",
    "requestedSchema",
    "text",
    "uri",
    "url",
];

/// A `String` of any length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<T = String>(pub(crate) T);

/// A `JSON` of any size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data<T>(pub(crate) T);

impl<T> From<T> for Text<T> {
    fn from(text: T) -> Self {
        Self(text)
    }
}

/// Wraps each text.
pub(crate) fn texts(names: &[String]) -> Vec<Text<&str>> {
    names.iter().map(|name| Text(name.as_str())).collect()
}

impl<T: AsRef<str> + Send + Sync> OutputType for Text<T> {
    fn type_name() -> Cow<'static, str> {
        <String as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <String as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let text = self.0.as_ref();
        charge(ctx, field, text.len())?;
        Ok(Value::String(text.to_owned()))
    }
}

impl<T: Serialize + Send + Sync> OutputType for Data<T> {
    fn type_name() -> Cow<'static, str> {
        <Json<T> as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Json<T> as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let mut counted = Counted(0);
        // A value that cannot be encoded is null, which is no larger than the counted bytes.
        let _ = serde_json::to_writer(&mut counted, &self.0);
        charge(ctx, field, counted.0)?;
        Ok(async_graphql::to_value(&self.0).unwrap_or_default())
    }
}

fn charge(
    ctx: &ContextSelectionSet<'_>,
    field: &Positioned<Field>,
    bytes: usize,
) -> ServerResult<()> {
    let Some(budget) = ctx.data_opt::<ResponseBytes>() else {
        return Ok(());
    };
    budget.charge(bytes).map_err(|error| {
        let error = async_graphql::Error::from(error);
        ctx.set_error_path(error.into_server_error(field.pos))
    })
}

/// A writer that counts bytes.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{BaseType, Type, TypeKind, TypeSystemDefinition};

    use super::LARGE;

    /// Fields with a short limit of their own, or bounded by the server's settings alone.
    const SMALL: [&str; 22] = [
        "agentsAsTools",
        "cost",
        "cursor",
        "endCursor",
        "handoffs",
        "mimeType",
        "model",
        "models",
        "name",
        "owner",
        "providers",
        "seed",
        "specifiedByURL",
        "startCursor",
        "tenant",
        "timeZone",
        "title",
        "toolName",
        "toolNames",
        "tools",
        "variables",
        "version",
    ];

    fn base(of: &Type) -> &str {
        match &of.base {
            BaseType::Named(name) => name,
            BaseType::List(inner) => base(inner),
        }
    }

    #[test]
    fn each_text_of_the_schema_is_known_to_be_large_or_small() {
        let parsed = parse_schema(crate::graphql::sdl()).unwrap();
        for definition in parsed.definitions {
            let TypeSystemDefinition::Type(found) = definition else {
                continue;
            };
            let fields = match found.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            for field in fields {
                let name = field.node.name.node.as_str();
                if matches!(base(&field.node.ty.node), "String" | "JSON") {
                    let known = LARGE.contains(&name) || SMALL.contains(&name);
                    assert!(
                        known,
                        "{}.{name} belongs into one of the lists",
                        found.node.name.node
                    );
                }
            }
        }
    }
}
