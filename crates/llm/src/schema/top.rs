//! Reduction of the outermost schema.

use serde_json::{Map, Value, json};

use super::merge::join_required;
use super::reduce::Reducer;
use super::rules::{Optional, Rules};
use super::size::Size;
use super::words::Words;
use talkgraph_domain::WRAPPED_ANSWER;

/// Keywords that no vendor accepts at the top of a tool's arguments.
const NOT_AT_TOP: [&str; 6] = ["enum", "const", "not", "if", "then", "else"];

/// The copy of an answer's schema; none if the rules cannot express it.
pub(super) fn answer(schema: &Value, rules: &Rules) -> Option<Value> {
    if rules.optional != Optional::NullBeforeRequired {
        return answer_with(schema, rules, usize::MAX);
    }
    // Properties may only become unions as far as the schema's own unions leave room.
    let plain = answer_with(schema, rules, 0)?;
    let left = rules.limits.unions.saturating_sub(Size::of(&plain).unions);
    answer_with(schema, rules, left).or(Some(plain))
}

fn answer_with(schema: &Value, rules: &Rules, nulls: usize) -> Option<Value> {
    let mut reducer = Reducer::new(schema, rules, nulls);
    let top = reducer.resolved(schema);
    let mut reduced = reducer.object(&top, 0);
    let is_object = reduced["type"] == "object" && reduced.get("anyOf").is_none();
    if rules.object_at_top && !is_object {
        reduced = json!({
            "type": "object",
            "properties": { WRAPPED_ANSWER: reduced },
            "required": [WRAPPED_ANSWER],
            "additionalProperties": false,
        });
    }
    let fits = reducer.finish(&mut reduced);
    (fits && Size::of(&reduced).is_within(&rules.limits)).then_some(reduced)
}

/// The copy of the schema of a tool's arguments.
pub(super) fn arguments(schema: &Value, rules: &Rules) -> Value {
    let mut reducer = Reducer::new(schema, rules, usize::MAX);
    let mut words = Words::default();
    let mut top = reducer.resolved(schema);
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = top.shift_remove(keyword) {
            merge_branches(&mut reducer, &mut top, &branches);
            words.say(&format!("{keyword}: {}", alternatives(&reducer, &branches)));
        }
    }
    for keyword in NOT_AT_TOP {
        if let Some(value) = top.shift_remove(keyword) {
            words.add(keyword, &value);
        }
    }
    top.shift_remove("nullable");
    top.insert("type".to_owned(), "object".into());
    let mut reduced = reducer.object(&top, 0);
    if let Value::Object(fields) = &mut reduced {
        // Every vendor accepts empty parameters, also for functions without any.
        fields.entry("properties").or_insert_with(|| json!({}));
        words.write(fields);
    }
    reducer.finish(&mut reduced);
    reduced
}

/// Merges several objects into one: with the properties of all, of which those are required that
/// all of them require.
fn merge_branches(reducer: &mut Reducer<'_>, top: &mut Map<String, Value>, branches: &[Value]) {
    let branches: Vec<_> = branches.iter().map(|one| reducer.resolved(one)).collect();
    let names = |branch: &Map<String, Value>| {
        let names = branch.get("required").and_then(Value::as_array);
        names.cloned().unwrap_or_default()
    };
    let mut common = branches.first().map(names).unwrap_or_default();
    common.retain(|name| branches.iter().all(|branch| names(branch).contains(name)));
    if !common.is_empty() {
        join_required(top, &Value::Array(common));
    }
    let properties = top.entry("properties").or_insert_with(|| json!({}));
    let Value::Object(properties) = properties else {
        return;
    };
    for branch in &branches {
        let own = branch.get("properties").and_then(Value::as_object);
        for (name, property) in own.into_iter().flatten() {
            match properties.get_mut(name) {
                None => {
                    properties.insert(name.clone(), property.clone());
                }
                Some(there) if there == property => {}
                Some(there) => match there.get_mut("anyOf").and_then(Value::as_array_mut) {
                    Some(variants) if variants.contains(property) => {}
                    Some(variants) => variants.push(property.clone()),
                    None => *there = json!({ "anyOf": [there.take(), property] }),
                },
            }
        }
    }
}

/// A description of the alternatives: the properties that each requires.
fn alternatives(reducer: &Reducer<'_>, branches: &[Value]) -> String {
    let names = branches.iter().map(|branch| {
        let branch = match branch {
            Value::Object(fields) => reducer.target_of(fields).unwrap_or(branch),
            branch => branch,
        };
        let names = branch["required"].as_array().into_iter().flatten();
        let names: Vec<_> = names.filter_map(Value::as_str).collect();
        format!("[{}]", names.join(", "))
    });
    let mut names: Vec<_> = names.take(16).collect();
    names.dedup();
    names.join(" or ")
}
