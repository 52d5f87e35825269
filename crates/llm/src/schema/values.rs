//! Types, enumerations and the forms of keywords' values.

use serde_json::{Map, Value};

use super::rules::Values;

/// The types of JSON Schema.
const TYPES: [&str; 7] = [
    "string", "number", "integer", "boolean", "object", "array", "null",
];

/// The types that a schema allows, by its `type` or its keywords; none for any.
pub(super) fn types_of(schema: &Map<String, Value>) -> Vec<&'static str> {
    let mut types: Vec<_> = match schema.get("type") {
        Some(Value::String(name)) => type_of(name).into_iter().collect(),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str);
            names.filter_map(type_of).collect()
        }
        _ => Vec::new(),
    };
    if types.is_empty() {
        types = guessed(schema);
    }
    // OpenAPI's form of a nullable type.
    if schema.get("nullable") == Some(&Value::Bool(true)) && !types.is_empty() {
        types.push("null");
    }
    let mut seen = Vec::new();
    types.retain(|name| {
        let is_new = !seen.contains(name);
        seen.push(*name);
        is_new
    });
    types
}

/// A type by its name in JSON Schema, OpenAPI or common usage.
fn type_of(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let name = match name.as_str() {
        "str" | "text" => "string",
        "int" | "int32" | "int64" | "long" => "integer",
        "float" | "double" | "decimal" => "number",
        "bool" => "boolean",
        "dict" | "map" => "object",
        "list" => "array",
        name => name,
    };
    TYPES.into_iter().find(|one| *one == name)
}

fn guessed(schema: &Map<String, Value>) -> Vec<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| schema.contains_key(*name));
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().map(type_of_value).collect();
    }
    if let Some(value) = schema.get("const") {
        return vec![type_of_value(value)];
    }
    match () {
        () if has(&["properties", "additionalProperties", "required"]) => vec!["object"],
        () if has(&["items", "prefixItems"]) => vec!["array"],
        () if has(&["pattern", "minLength", "maxLength"]) => vec!["string"],
        () if has(&["minimum", "maximum", "multipleOf"]) => vec!["number"],
        () => Vec::new(),
    }
}

fn type_of_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns true for a keyword that applies to values of a type.
pub(super) fn is_about(keyword: &str, kind: &str) -> bool {
    let of = match keyword {
        "properties" | "required" | "additionalProperties" => "object",
        "items" | "prefixItems" | "minItems" | "maxItems" => "array",
        "pattern" | "format" | "minLength" | "maxLength" => "string",
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            return matches!(kind, "number" | "integer");
        }
        _ => return true,
    };
    of == kind
}

/// The values of an enumeration that a vendor accepts; none if it accepts none.
pub(super) fn taken(values: &[Value], rule: Values) -> Option<Vec<Value>> {
    let all = |is: fn(&Value) -> bool| values.iter().all(is);
    let fits = match rule {
        Values::Any => true,
        Values::Scalars => all(|value| !value.is_array() && !value.is_object()),
        Values::TextsOrNumbers => all(Value::is_string) || all(Value::is_number),
    };
    let mut once: Vec<Value> = Vec::new();
    for value in values.iter().filter(|_| fits) {
        if !once.contains(value) {
            once.push(value.clone());
        }
    }
    (!once.is_empty()).then_some(once)
}

/// Returns true for a keyword's value of the form that JSON Schema (draft 2020-12) requires.
pub(super) fn is_regular(keyword: &str, value: &Value) -> bool {
    match keyword {
        "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
        "pattern" => value.as_str().is_some_and(is_plain_pattern),
        _ => true,
    }
}

/// The longest pattern that is sent, in bytes.
const PATTERN_BYTES: usize = 200;

/// Returns true for a regular expression that all dialects interpret alike, and that can become a
/// grammar: anchored at both ends, without assertions, references and Unicode classes.
fn is_plain_pattern(pattern: &str) -> bool {
    let inner = pattern
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix('$'));
    let Some(inner) = inner.filter(|_| pattern.len() <= PATTERN_BYTES) else {
        return false;
    };
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        let is_plain = match character {
            '\\' => matches!(
                rest.next(),
                Some(
                    'd' | 'w'
                        | 's'
                        | '.'
                        | '-'
                        | '/'
                        | '+'
                        | '*'
                        | '?'
                        | '('
                        | ')'
                        | '['
                        | ']'
                        | '{'
                        | '}'
                        | '|'
                        | '\\'
                )
            ),
            // Of the groups with a question mark only the non-capturing one.
            '(' => !rest.as_str().starts_with('?') || rest.as_str().starts_with("?:"),
            '^' | '$' => false,
            character => !character.is_control(),
        };
        // `[^…]` is a class, not an anchor.
        let is_class = character == '[' && rest.as_str().starts_with('^');
        if is_class {
            rest.next();
        }
        if !is_plain {
            return false;
        }
    }
    regular(inner)
}

/// Returns true if brackets are balanced, outside of escapes.
fn regular(pattern: &str) -> bool {
    let (mut groups, mut in_class, mut escaped) = (0_usize, false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' if in_class => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' => groups += 1,
            ')' if groups == 0 => return false,
            ')' => groups -= 1,
            _ => {}
        }
    }
    groups == 0 && !in_class && !escaped
}
