//! Type checks of variables (GraphQL, section 6.1.2) before execution.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ConstDirective, InputObjectType, OperationDefinition, Type, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Positioned, Value, Variables};

use super::GuardError;

/// The input types of a schema.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    types: HashMap<String, Input>,
}

#[derive(Debug, Clone)]
enum Input {
    Enum(HashSet<String>),
    Object {
        fields: HashMap<String, InputField>,
        is_one_of: bool,
    },
}

#[derive(Debug, Clone)]
struct InputField {
    of: Type,
    /// True if an object must have the field: not null and without a default.
    is_required: bool,
}

impl Inputs {
    /// Collects the input types of a schema.
    pub fn of(sdl: &str) -> Self {
        // The server's own schema; without its types, only built-in scalars are checked.
        let definitions = parse_schema(sdl).map(|schema| schema.definitions);
        let types = definitions.unwrap_or_default().into_iter();
        let types = types.filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            let definition = definition.node;
            let input = match definition.kind {
                TypeKind::Enum(of) => {
                    let values = of.values.into_iter();
                    Input::Enum(values.map(|value| value.node.value.to_string()).collect())
                }
                TypeKind::InputObject(object) => input_object(object, &definition.directives),
                _ => return None,
            };
            Some((definition.name.node.to_string(), input))
        });
        Self {
            types: types.collect(),
        }
    }

    /// Rejects variables that are missing, null or of the wrong type. Unknown types and custom
    /// scalars are left to validation.
    pub(super) fn check(
        &self,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), GuardError> {
        for definition in &operation.variable_definitions {
            let name = &definition.node.name.node;
            let of = &definition.node.var_type.node;
            let wrong = match variables.get(name) {
                Some(value) => self.wrong(of, value).map(|(place, why)| {
                    format!("the variable ${name}{place} must be {why}, as its type {of} says")
                }),
                None if of.nullable || definition.node.default_value.is_some() => None,
                None => Some(format!("the variable ${name} is missing; its type is {of}")),
            };
            if let Some(message) = wrong {
                return Err(GuardError::Variable {
                    message,
                    positions: vec![definition.pos],
                });
            }
        }
        Ok(())
    }

    /// Returns the first position within a value that has the wrong type, and the expected type.
    /// Values nest within the limits of variables.
    fn wrong(&self, of: &Type, value: &Value) -> Option<(String, String)> {
        let here = |what: &str| Some((String::new(), what.to_owned()));
        match (&of.base, value) {
            (_, Value::Null) if of.nullable => None,
            (_, Value::Null) => here("something other than null"),
            (BaseType::List(of), Value::List(items)) => {
                items.iter().enumerate().find_map(|(at, item)| {
                    let (place, why) = self.wrong(of, item)?;
                    Some((format!("[{at}]{place}"), why))
                })
            }
            // A single value is coerced to a list of it.
            (BaseType::List(of), value) => self.wrong(of, value),
            (BaseType::Named(name), value) => match self.types.get(name.as_str()) {
                None => builtin(name, value).and_then(here),
                Some(Input::Enum(values)) => match value {
                    Value::String(given) if values.contains(given) => None,
                    Value::Enum(given) if values.contains(given.as_str()) => None,
                    _ => Some((String::new(), one_of(values))),
                },
                Some(Input::Object { fields, is_one_of }) => {
                    self.wrong_object(fields, *is_one_of, value)
                }
            },
        }
    }

    fn wrong_object(
        &self,
        fields: &HashMap<String, InputField>,
        is_one_of: bool,
        value: &Value,
    ) -> Option<(String, String)> {
        let here = |what: &str| Some((String::new(), what.to_owned()));
        let Value::Object(given) = value else {
            return here("an object");
        };
        let are_null = given.values().any(|value| *value == Value::Null);
        if is_one_of && (given.len() != 1 || are_null) {
            return here("an object with exactly one field");
        }
        let unknown = given
            .keys()
            .find(|name| !fields.contains_key(name.as_str()));
        if let Some(name) = unknown {
            return here(&format!("an object without the field {:?}", name.as_str()));
        }
        let mut missing = fields
            .iter()
            .filter(|(name, field)| field.is_required && !given.contains_key(name.as_str()))
            .map(|(name, _)| name.as_str());
        if let Some(name) = missing.next() {
            return here(&format!("an object with the field {name}"));
        }
        given.iter().find_map(|(name, value)| {
            let (place, why) = self.wrong(&fields.get(name.as_str())?.of, value)?;
            Some((format!(".{name}{place}"), why))
        })
    }
}

fn input_object(object: InputObjectType, directives: &[Positioned<ConstDirective>]) -> Input {
    let is_one_of = directives
        .iter()
        .any(|directive| directive.node.name.node == "oneOf");
    let fields = object.fields.into_iter().map(|field| {
        let field = field.node;
        let of = field.ty.node;
        let is_required = !of.nullable && field.default_value.is_none();
        (field.name.node.to_string(), InputField { of, is_required })
    });
    Input::Object {
        fields: fields.collect(),
        is_one_of,
    }
}

/// The maximum number of an enum's values that an error lists.
const LISTED_VALUES: usize = 16;

fn one_of(values: &HashSet<String>) -> String {
    let mut values: Vec<_> = values.iter().map(String::as_str).collect();
    if values.len() > LISTED_VALUES {
        return "one of its enum's values".to_owned();
    }
    values.sort_unstable();
    format!("one of {}", values.join(", "))
}

/// Returns the type that a value of a built-in scalar must have, if it does not.
fn builtin(name: &str, value: &Value) -> Option<&'static str> {
    let (is_right, what) = match (name, value) {
        ("Int", Value::Number(number)) => (!number.is_f64(), "an integer"),
        ("Int", _) => (false, "an integer"),
        ("Float", value) => (matches!(value, Value::Number(_)), "a number"),
        ("String", value) => (matches!(value, Value::String(_)), "a string"),
        ("Boolean", value) => (matches!(value, Value::Boolean(_)), "true or false"),
        ("ID", Value::Number(number)) => (!number.is_f64(), "a string"),
        ("ID", value) => (matches!(value, Value::String(_)), "a string"),
        _ => (true, ""),
    };
    (!is_right).then_some(what)
}
