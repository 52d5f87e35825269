//! Translation of a value that follows the reduced copy of a JSON Schema into one that follows the
//! full schema.

use serde_json::Value;

use super::WRAPPED_ANSWER;

/// The maximum number of schemas that are examined for one value.
const STEPS: usize = 50_000;

/// The maximum depth of nested references and combinators.
const HOPS: usize = 32;

/// Candidates for a value that the schema refuses, the more likely first: the value of the one
/// property that it was wrapped into, and the value without nulls for properties that are optional
/// and cannot be null. Nothing else is changed.
pub fn restored(value: &Value, schema: &Value) -> Vec<Value> {
    let inner = value.as_object().filter(|fields| fields.len() == 1);
    let inner = inner.and_then(|fields| fields.get(WRAPPED_ANSWER));
    let mut candidates: Vec<_> = inner.into_iter().cloned().collect();
    for value in inner.into_iter().chain([value]) {
        let mut cleaned = value.clone();
        let mut cleaner = Cleaner {
            root: schema,
            steps: 0,
        };
        cleaner.clean(&mut cleaned, vec![schema]);
        if cleaned != *value {
            candidates.push(cleaned);
        }
    }
    candidates
}

/// Removes nulls of absent properties.
struct Cleaner<'a> {
    root: &'a Value,
    steps: usize,
}

impl<'a> Cleaner<'a> {
    fn clean(&mut self, value: &mut Value, schemas: Vec<&'a Value>) {
        let mut all = Vec::new();
        for schema in schemas {
            self.expand(schema, value, &mut all, 0);
        }
        if self.steps > STEPS || all.is_empty() {
            return;
        }
        match value {
            Value::Object(fields) => {
                fields.retain(|name, value| !value.is_null() || !self.is_absent(name, &all));
                for (name, value) in fields {
                    let of = all.iter().filter_map(|schema| property(schema, name));
                    self.clean(value, of.collect());
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    let of = all.iter().filter_map(|schema| item_at(schema, at));
                    self.clean(item, of.collect());
                }
            }
            _ => {}
        }
    }

    /// Adds a schema with all schemas that it refers to and combines, as far as they may apply to a
    /// value.
    fn expand(&mut self, schema: &'a Value, value: &Value, all: &mut Vec<&'a Value>, hops: usize) {
        self.steps += 1;
        if self.steps > STEPS || hops > HOPS {
            return;
        }
        all.push(schema);
        if let Some(target) = self.target(schema) {
            self.expand(target, value, all, hops + 1);
        }
        for part in parts(schema, "allOf") {
            self.expand(part, value, all, hops + 1);
        }
        for branch in parts(schema, "anyOf").chain(parts(schema, "oneOf")) {
            if self.may_be(branch, value, hops) {
                self.expand(branch, value, all, hops + 1);
            }
        }
    }

    fn target(&self, schema: &Value) -> Option<&'a Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }

    /// Returns false for a branch that the object's constant properties rule out.
    fn may_be(&self, branch: &'a Value, value: &Value, hops: usize) -> bool {
        let branch = match self.target(branch) {
            Some(target) if hops < HOPS => target,
            _ => branch,
        };
        let Some(properties) = branch.get("properties").and_then(Value::as_object) else {
            return true;
        };
        properties.iter().all(|(name, property)| {
            let given = value.get(name);
            given.is_none_or(
                |given| match (property.get("const"), property.get("enum")) {
                    (Some(constant), _) => constant == given,
                    (None, Some(Value::Array(values))) => values.contains(given) || given.is_null(),
                    _ => true,
                },
            )
        })
    }

    /// Returns true for a property whose null means that it is absent.
    fn is_absent(&mut self, name: &str, all: &[&'a Value]) -> bool {
        let mut is_known = false;
        for schema in all {
            let mut required = parts(schema, "required");
            if required.any(|one| one == name) {
                return false;
            }
            if let Some(property) = schema.get("properties").and_then(|all| all.get(name)) {
                is_known = true;
                if self.may_be_null(property, 0) {
                    return false;
                }
            }
        }
        is_known
    }

    fn may_be_null(&mut self, schema: &'a Value, hops: usize) -> bool {
        self.steps += 1;
        if self.steps > STEPS || hops > HOPS {
            return true;
        }
        let Value::Object(fields) = schema else {
            return schema != &Value::Bool(false);
        };
        if let Some(target) = self.target(schema) {
            return self.may_be_null(target, hops + 1);
        }
        let null = |kind: &Value| kind == "null";
        let by_type = match fields.get("type") {
            Some(Value::Array(types)) => types.iter().any(null),
            Some(kind) => null(kind),
            None => true,
        };
        let by_value = match (fields.get("const"), fields.get("enum")) {
            (Some(constant), _) => constant.is_null(),
            (None, Some(Value::Array(values))) => values.contains(&Value::Null),
            _ => true,
        };
        if fields.get("nullable") == Some(&Value::Bool(true)) {
            return true;
        }
        let mut all = parts(schema, "allOf");
        if !(by_type && by_value && all.all(|part| self.may_be_null(part, hops + 1))) {
            return false;
        }
        ["anyOf", "oneOf"].into_iter().all(|keyword| {
            let mut branches = parts(schema, keyword).peekable();
            branches.peek().is_none() || branches.any(|branch| self.may_be_null(branch, hops + 1))
        })
    }
}

fn parts<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let own = schema.get("properties").and_then(|all| all.get(name));
    own.or_else(|| schema.get("additionalProperties"))
}

fn item_at(schema: &Value, at: usize) -> Option<&Value> {
    let first = schema.get("prefixItems").and_then(|items| items.get(at));
    first.or_else(|| match schema.get("items")? {
        Value::Array(items) => items.get(at),
        items => Some(items),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_nulls_of_optional_properties_are_removed() {
        let schema = json!({
            "type": "object", "required": ["a", "list"],
            "properties": {
                "a": { "type": ["string", "null"] },
                "b": { "type": "string" },
                "c": { "type": ["string", "null"] },
                "d": { "$ref": "#/$defs/d" },
                "list": { "type": "array", "items": { "$ref": "#/$defs/d" } },
                "any": {},
            },
            "$defs": { "d": { "type": "object", "properties": {
                "x": { "enum": ["x"] }, "y": { "enum": ["y", null] }, "again": { "$ref": "#/$defs/d" },
            } } },
        });
        let value = json!({ "a": null, "b": null, "c": null, "any": null, "unknown": null,
            "list": [null, { "x": null, "y": null }], "d": { "again": { "again": null } } });
        let cleaned = json!({ "a": null, "c": null, "any": null, "unknown": null,
            "list": [null, { "y": null }], "d": { "again": {} } });
        assert_eq!(restored(&value, &schema), std::slice::from_ref(&cleaned));
        assert!(restored(&cleaned, &schema).is_empty());
    }

    #[test]
    fn union_branch_is_chosen_by_constants() {
        let schema = json!({ "anyOf": [
            { "properties": { "kind": { "const": "a" }, "x": { "type": "string" } } },
            { "properties": { "kind": { "const": "b" }, "x": { "type": "null" } } },
        ] });
        let a = json!({ "kind": "a", "x": null });
        assert_eq!(restored(&a, &schema), [json!({ "kind": "a" })]);
        assert!(restored(&json!({ "kind": "b", "x": null }), &schema).is_empty());
        // Neither branch may lose a null that one of them allows.
        assert!(restored(&json!({ "x": null }), &schema).is_empty());
    }

    #[test]
    fn a_wrapped_answer_is_unwrapped() {
        let schema =
            json!({ "type": "array", "items": { "properties": { "x": { "type": "string" } } } });
        let value = json!({ "answer": [{ "x": null }] });
        let candidates = restored(&value, &schema);
        assert_eq!(candidates, [json!([{ "x": null }]), json!([{}])]);
        assert!(restored(&json!({ "answer": 1, "more": 2 }), &schema).is_empty());
    }

    #[test]
    fn endless_references_stop_at_the_bound() {
        let twice = json!([{ "$ref": "#" }, { "$ref": "#" }]);
        let schema =
            json!({ "allOf": twice, "anyOf": twice, "properties": { "a": { "$ref": "#" } } });
        let _ = restored(&json!({ "a": null, "b": { "a": null } }), &schema);
    }
}
