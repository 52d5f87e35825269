//! Merging of two schemas that both apply.

use serde_json::{Map, Value, json};

use super::words::Words;

/// Merges `more` into a schema. Constraints that one schema cannot express are added to the
/// description.
pub(super) fn join(schema: &mut Map<String, Value>, more: &Map<String, Value>, words: &mut Words) {
    for (keyword, value) in more {
        match keyword.as_str() {
            "$defs" | "definitions" => {}
            "properties" => join_properties(schema, value),
            "required" => join_required(schema, value),
            _ => match schema.get_mut(keyword) {
                None => {
                    schema.insert(keyword.clone(), value.clone());
                }
                Some(own) if own == value => {}
                Some(own) => match both(keyword, own, value) {
                    Some(joined) => *own = joined,
                    None => words.add(keyword, value),
                },
            },
        }
    }
}

fn join_properties(schema: &mut Map<String, Value>, more: &Value) {
    let Value::Object(more) = more else { return };
    let own = schema.entry("properties").or_insert_with(|| json!({}));
    let Value::Object(own) = own else { return };
    for (name, property) in more {
        match own.get_mut(name) {
            None => {
                own.insert(name.clone(), property.clone());
            }
            Some(there) if there == property => {}
            Some(there) => *there = json!({ "allOf": [there.take(), property] }),
        }
    }
}

/// Adds names to `required`.
pub(super) fn join_required(schema: &mut Map<String, Value>, more: &Value) {
    let own = schema.entry("required").or_insert_with(|| json!([]));
    if let (Value::Array(own), Value::Array(more)) = (own, more) {
        for name in more {
            if !own.contains(name) {
                own.push(name.clone());
            }
        }
    }
}

/// The intersection of both values of a keyword, if one value can express it.
fn both(keyword: &str, one: &Value, other: &Value) -> Option<Value> {
    match keyword {
        // The outer one describes this position.
        "description" | "title" | "default" => Some(one.clone()),
        "type" | "enum" => {
            let list = |value: &Value| match value {
                Value::Array(values) => values.clone(),
                value => vec![value.clone()],
            };
            let others = list(other);
            let mut common = list(one);
            common.retain(|value| others.contains(value));
            match common.as_slice() {
                [] => None,
                [kind] if keyword == "type" => Some(kind.clone()),
                _ => Some(common.into()),
            }
        }
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => Some(
            if one.as_f64()? >= other.as_f64()? {
                one
            } else {
                other
            }
            .clone(),
        ),
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => Some(
            if one.as_f64()? <= other.as_f64()? {
                one
            } else {
                other
            }
            .clone(),
        ),
        "items" => Some(json!({ "allOf": [one, other] })),
        "additionalProperties" if one == &json!(true) => Some(other.clone()),
        "additionalProperties" if other == &json!(true) => Some(one.clone()),
        "additionalProperties" => Some(json!(false)),
        _ => None,
    }
}
