//! The variables of an operation as a JSON Schema.

use std::collections::HashMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, InputObjectType, InputValueDefinition, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition, VariableDefinition,
};
use serde_json::{Map, Value, json};

/// The types of a schema by name.
struct Types(HashMap<String, TypeDefinition>);

/// Creates the schema of variables of these types, defined in the schema `sdl`.
pub(super) fn schema(sdl: &str, variables: &[VariableDefinition]) -> Value {
    // The server's own schema. An unreadable type would only allow every value here; values are
    // checked again during execution.
    let definitions = parse_schema(sdl).map(|schema| schema.definitions);
    let types =
        definitions
            .unwrap_or_default()
            .into_iter()
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => {
                    Some((definition.node.name.node.to_string(), definition.node))
                }
                _ => None,
            });
    let types = Types(types.collect());
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for variable in variables {
        let (name, default) = (&variable.name.node, &variable.default_value);
        let default = default.as_ref().map(|default| default.node.clone());
        let mut schema = types.of(&variable.var_type.node, &mut Vec::new());
        with(
            &mut schema,
            "default",
            default.and_then(|value| value.into_json().ok()),
        );
        if variable.default_value.is_none() && !variable.var_type.node.nullable {
            required.push(name.to_string());
        }
        properties.insert(name.to_string(), schema);
    }
    object(properties, required)
}

fn object(properties: Map<String, Value>, required: Vec<String>) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn with(schema: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(schema), Some(value)) = (schema.as_object_mut(), value) {
        schema.insert(key.to_owned(), value);
    }
}

impl Types {
    /// Creates the schema of a type. `path` has the enclosing input types; one nested in itself is
    /// any object.
    fn of(&self, ty: &Type, path: &mut Vec<String>) -> Value {
        let mut schema = match &ty.base {
            BaseType::List(of) => json!({ "type": "array", "items": self.of(of, path) }),
            BaseType::Named(name) => self.named(name, path),
        };
        if ty.nullable
            && let Some(named) = schema.get("type").and_then(Value::as_str)
        {
            let or_null = json!([named, "null"]);
            with(&mut schema, "type", Some(or_null));
            if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
                values.push(Value::Null);
            }
        }
        schema
    }

    fn named(&self, name: &str, path: &mut Vec<String>) -> Value {
        match name {
            "Int" => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
            "Float" => json!({ "type": "number" }),
            "String" | "ID" => json!({ "type": "string" }),
            "Boolean" => json!({ "type": "boolean" }),
            "DateTime" => json!({ "type": "string", "format": "date-time" }),
            _ => match self.0.get(name).map(|definition| &definition.kind) {
                Some(TypeKind::Enum(of)) => {
                    let values = of.values.iter().map(|value| value.node.value.node.as_str());
                    json!({ "type": "string", "enum": values.collect::<Vec<_>>() })
                }
                Some(TypeKind::InputObject(_)) if path.iter().any(|known| known == name) => {
                    json!({ "type": "object" })
                }
                Some(TypeKind::InputObject(of)) => {
                    path.push(name.to_owned());
                    let mut schema = self.input(of, path);
                    path.pop();
                    if self.is_one_of(name) {
                        with(&mut schema, "minProperties", Some(json!(1)));
                        with(&mut schema, "maxProperties", Some(json!(1)));
                    }
                    schema
                }
                // Other scalars may be anything.
                _ => json!({}),
            },
        }
    }

    fn input(&self, of: &InputObjectType, path: &mut Vec<String>) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in &of.fields {
            let field: &InputValueDefinition = &field.node;
            let mut schema = self.of(&field.ty.node, path);
            let description = field.description.as_ref().map(|text| json!(text.node));
            with(&mut schema, "description", description);
            if field.default_value.is_none() && !field.ty.node.nullable {
                required.push(field.name.node.to_string());
            }
            properties.insert(field.name.node.to_string(), schema);
        }
        object(properties, required)
    }

    fn is_one_of(&self, name: &str) -> bool {
        let directives = self.0.get(name).map(|definition| &definition.directives);
        directives.is_some_and(|directives| {
            let mut names = directives.iter().map(|directive| &directive.node.name.node);
            names.any(|name| name == "oneOf")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    const SDL: &str = "
        enum Size { S M }
        input Filter { \"Only these.\" size: Size! within: Filter note: String }
        input Choice @oneOf { id: ID name: String }
        scalar JSON
        type Query { a: Int }";

    fn of(variables: &str) -> Value {
        let parsed = parse_query(format!("query({variables}) {{ a }}")).unwrap();
        let operation = parsed.operations.iter().next().unwrap().1;
        let variables = operation.node.variable_definitions.iter();
        let variables: Vec<_> = variables.map(|variable| variable.node.clone()).collect();
        schema(SDL, &variables)
    }

    #[test]
    fn variables_are_arguments() {
        let schema = of("$n: Int!, $m: Int! = 3, $tags: [String!]!, $size: Size, $any: JSON");
        assert_eq!(schema["required"], json!(["n", "tags"]));
        assert_eq!(schema["properties"]["m"]["default"], 3);
        let tags = json!({ "type": "array", "items": { "type": "string" } });
        assert_eq!(schema["properties"]["tags"], tags);
        let size = json!({ "type": ["string", "null"], "enum": ["S", "M", null] });
        assert_eq!(schema["properties"]["size"], size);
        assert_eq!(schema["properties"]["any"], json!({}));
    }

    #[test]
    fn input_types_are_objects_and_may_be_within_themselves() {
        let schema = of("$filter: Filter!, $choice: Choice!");
        let filter = &schema["properties"]["filter"];
        assert_eq!(filter["required"], json!(["size"]));
        assert_eq!(filter["properties"]["size"]["description"], "Only these.");
        let within = json!({ "type": ["object", "null"] });
        assert_eq!(filter["properties"]["within"], within);
        assert_eq!(schema["properties"]["choice"]["maxProperties"], 1);
    }
}
