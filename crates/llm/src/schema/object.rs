//! Reduction of a schema of one type, or of a list of types, keyword by keyword.

use serde_json::{Map, Value, json};

use super::reduce::Reducer;
use super::rules::Optional;
use super::values::{is_regular, taken};
use super::words::Words;

/// The copy of a schema without combinators.
pub(super) fn reduced_object(
    reducer: &mut Reducer<'_>,
    fields: &Map<String, Value>,
    types: &[&str],
    depth: usize,
) -> Value {
    let mut one = One {
        reducer,
        fields,
        depth,
        words: Words::default(),
        out: Map::new(),
    };
    one.types(types);
    for (keyword, value) in fields {
        one.keyword(keyword, value);
    }
    if types.contains(&"object") {
        one.finish_object();
    }
    if types.contains(&"array") {
        one.finish_array();
    }
    one.out.retain(|_, value| !value.is_null());
    let has_values = one.out.contains_key("enum") || one.out.contains_key("const");
    one.reducer.misfit |= one.reducer.rules.closed && types.is_empty() && !has_values;
    let One { words, mut out, .. } = one;
    words.write(&mut out);
    Value::Object(out)
}

struct One<'r, 'a, 'f> {
    reducer: &'r mut Reducer<'a>,
    fields: &'f Map<String, Value>,
    depth: usize,
    words: Words,
    out: Map<String, Value>,
}

impl One<'_, '_, '_> {
    fn types(&mut self, types: &[&str]) {
        let value = match types {
            [] => return,
            [one] => json!(one),
            several => json!(several),
        };
        self.out.insert("type".to_owned(), value);
    }

    fn keyword(&mut self, keyword: &str, value: &Value) {
        let rules = self.reducer.rules;
        match keyword {
            "type" => {}
            "description" | "title" if value.is_string() => self.keep(keyword, value.clone()),
            "properties" => self.properties(value),
            // A placeholder: the names are written once the properties are known.
            "required" => self.keep(keyword, Value::Null),
            "additionalProperties" if rules.closed => self.keep(keyword, Value::Null),
            "propertyOrdering" => {}
            "additionalProperties" => self.additional(value),
            "items" if value.is_array() => self.tuple(value),
            "items" => {
                let items = self.reducer.schema(value, self.depth + 1);
                self.keep(keyword, items);
            }
            "prefixItems" => self.tuple(value),
            "enum" => self.values(value),
            "const" if rules.takes(keyword) && !value.is_array() && !value.is_object() => {
                self.keep(keyword, value.clone());
            }
            "const" => self.values(&json!([value])),
            "format" if rules.takes(keyword) => match value.as_str() {
                Some(format) if rules.formats.contains(&format) => {
                    self.keep(keyword, value.clone());
                }
                _ => self.words.add(keyword, value),
            },
            "$ref" | "$defs" => {}
            _ if rules.takes(keyword) && is_regular(keyword, value) => {
                self.keep(keyword, value.clone());
            }
            _ => self.words.add(keyword, value),
        }
    }

    fn keep(&mut self, keyword: &str, value: Value) {
        self.out.insert(keyword.to_owned(), value);
    }

    fn properties(&mut self, value: &Value) {
        let Value::Object(properties) = value else {
            return;
        };
        let mut reduced = Map::new();
        for (name, property) in properties {
            if property == &Value::Bool(false) {
                continue;
            }
            if self.reducer.rules.plain_names && !is_plain_name(name) {
                self.reducer.misfit |= self.reducer.rules.closed;
                self.words.add("properties", &json!({ name: property }));
                continue;
            }
            let property = self.reducer.schema(property, self.depth + 1);
            reduced.insert(name.clone(), property);
        }
        self.keep("properties", reduced.into());
    }

    fn additional(&mut self, value: &Value) {
        match value {
            _ if !self.reducer.rules.takes("additionalProperties") => {
                self.words.add("additionalProperties", value);
            }
            Value::Bool(_) => self.keep("additionalProperties", value.clone()),
            value => {
                let reduced = self.reducer.schema(value, self.depth + 1);
                self.keep("additionalProperties", reduced);
            }
        }
    }

    /// Reduces items that each have a schema of their own.
    fn tuple(&mut self, value: &Value) {
        let Value::Array(items) = value else { return };
        let depth = self.depth + 1;
        if self.reducer.rules.takes("prefixItems") {
            let items = items.iter().map(|item| self.reducer.schema(item, depth));
            let items: Vec<_> = items.collect();
            if !items.is_empty() {
                self.keep("prefixItems", items.into());
            }
            return;
        }
        self.words.add("prefixItems", value);
        if !items.is_empty() {
            let any = self.reducer.schema(&json!({ "anyOf": items }), depth);
            self.keep("items", any);
        }
    }

    fn values(&mut self, value: &Value) {
        let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match taken(values, self.reducer.rules.values) {
            Some(values) => self.keep("enum", values.into()),
            None if values.is_empty() => {}
            None => self.words.add("enum", value),
        }
    }

    fn finish_object(&mut self) {
        let rules = self.reducer.rules;
        if rules.spelled_out || rules.closed {
            self.out.entry("properties").or_insert_with(|| json!({}));
        }
        let known = self.out.get("properties").and_then(Value::as_object);
        let names: Vec<String> = known.into_iter().flat_map(Map::keys).cloned().collect();
        let required = self.fields.get("required").and_then(Value::as_array);
        let required: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let (kept, unknown): (Vec<&str>, Vec<&str>) = required
            .iter()
            .copied()
            .partition(|name| names.iter().any(|known| known == name));
        if !unknown.is_empty() {
            self.reducer.misfit |= rules.closed;
            self.words.add("required", &json!(unknown));
        }
        let mut once: Vec<String> = Vec::new();
        for name in kept {
            if !once.iter().any(|there| there == name) {
                once.push(name.to_owned());
            }
        }
        let mut kept = once;
        self.nulls(&names, &mut kept);
        if rules.closed {
            self.reducer.misfit |= is_open(self.fields, &names);
            self.keep("required", json!(kept));
            self.keep("additionalProperties", false.into());
        } else if !kept.is_empty() {
            self.keep("required", json!(kept));
        }
        if rules.ordering && names.len() > 1 {
            self.keep("propertyOrdering", json!(names));
        }
    }

    /// Makes optional properties required and nullable.
    fn nulls(&mut self, names: &[String], required: &mut Vec<String>) {
        let rule = self.reducer.rules.optional;
        let last = names.iter().rposition(|name| required.contains(name));
        for (at, name) in names.iter().enumerate() {
            let wanted = match rule {
                Optional::Absent => false,
                Optional::Null => true,
                Optional::NullBeforeRequired => last.is_some_and(|last| at < last),
            };
            if !wanted || required.contains(name) || self.reducer.nulls == 0 {
                continue;
            }
            let properties = self
                .out
                .get_mut("properties")
                .and_then(Value::as_object_mut);
            if let Some(property) = properties.and_then(|all| all.get_mut(name)) {
                *property = nullable(property.take());
                required.push(name.clone());
                if self.reducer.nulls != usize::MAX {
                    self.reducer.nulls -= 1;
                }
            }
        }
        if rule != Optional::Absent {
            required.sort_by_key(|name| names.iter().position(|known| known == name));
        }
    }

    fn finish_array(&mut self) {
        let rules = self.reducer.rules;
        let has_items = self.out.contains_key("items");
        self.reducer.misfit |= rules.closed && !has_items;
        if rules.spelled_out && !has_items && !self.out.contains_key("prefixItems") {
            self.keep("items", json!({}));
        }
    }
}

/// Returns true for an object whose properties are not all named.
fn is_open(fields: &Map<String, Value>, names: &[String]) -> bool {
    let has_patterns = fields
        .get("patternProperties")
        .and_then(Value::as_object)
        .is_some_and(|patterns| !patterns.is_empty());
    has_patterns
        || match fields
            .get("additionalProperties")
            .or_else(|| fields.get("unevaluatedProperties"))
        {
            Some(Value::Bool(false)) => false,
            Some(_) => true,
            None => names.is_empty(),
        }
}

/// Returns true for names that match `^[a-zA-Z0-9_.-]{1,64}$`.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain)
}

/// A reduced schema, or null.
fn nullable(schema: Value) -> Value {
    let Value::Object(mut fields) = schema else {
        return schema;
    };
    let has_values = fields.contains_key("enum") || fields.contains_key("const");
    let null = json!({ "type": "null" });
    let has_null =
        matches!(fields.get("enum"), Some(Value::Array(values)) if values.contains(&Value::Null));
    if has_null || fields.get("const") == Some(&Value::Null) {
        return Value::Object(fields);
    }
    if let Some(Value::Array(variants)) = fields.get_mut("anyOf") {
        if !variants.contains(&null) {
            variants.push(null);
        }
        return Value::Object(fields);
    }
    match fields.get_mut("type") {
        Some(Value::Array(types)) if !has_values => {
            if !types.contains(&json!("null")) {
                types.push("null".into());
            }
            return Value::Object(fields);
        }
        Some(Value::String(kind)) if kind == "null" => return Value::Object(fields),
        Some(kind) if !has_values => {
            *kind = json!([kind.take(), "null"]);
            return Value::Object(fields);
        }
        _ => {}
    }
    let description = fields.shift_remove("description");
    let mut either = Map::new();
    if let Some(description) = description {
        either.insert("description".to_owned(), description);
    }
    either.insert("anyOf".to_owned(), vec![Value::Object(fields), null].into());
    Value::Object(either)
}
