//! What vendors take of JSON Schema, and the smallest value that fits a schema.

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::checks::schema_name;
use super::rules::{Broken, Protocol, Rule};

/// Where schemas are inside a schema: keywords whose value is one, a list of them, or a map.
const ONE: [&str; 8] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
];
const LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
const MAPS: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];

/// The first schema of a tool that is refused.
pub(crate) fn tools(rule: &Rule, asked: &Asked<'_>) -> Option<Broken> {
    asked
        .tools()
        .into_iter()
        .enumerate()
        .find_map(|(index, tool)| {
            let detail = tool_fault(rule, asked.protocol, tool.schema)?;
            Some(Broken {
                path: index.to_string(),
                key: tool.name.to_owned(),
                detail,
                ..Broken::default()
            })
        })
}

fn tool_fault(rule: &Rule, protocol: Protocol, schema: &Value) -> Option<String> {
    let fields = schema.as_object()?;
    let at_top = rule
        .forbidden
        .iter()
        .find(|word| fields.contains_key(*word));
    let openai = matches!(protocol, Protocol::Chat | Protocol::Responses);
    let is_object = fields.get("type") == Some(&json!("object"));
    if openai {
        if !is_object || at_top.is_some() {
            return Some(
                "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' \
                 at the top level"
                    .to_owned(),
            );
        }
        let missing = !fields.contains_key("properties");
        return missing.then(|| "In context=(), object schema missing properties".to_owned());
    }
    if let Some(word) = at_top {
        return Some(format!(
            "input_schema does not support {word} at the top level"
        ));
    }
    (!is_object).then(|| "input_schema.type: Field required".to_owned())
}

/// The first place in an answer's schema that cannot be held to.
pub(crate) fn answer(rule: &Rule, asked: &Asked<'_>) -> Option<Broken> {
    let body = asked.body;
    let (schema, strict) = match asked.protocol {
        Protocol::Chat => {
            let format = &body["response_format"]["json_schema"];
            (&format["schema"], format["strict"] == true)
        }
        Protocol::Responses => (
            &body["text"]["format"]["schema"],
            body["text"]["format"]["strict"] == true,
        ),
        Protocol::Anthropic => (&body["output_config"]["format"]["schema"], true),
        Protocol::Gemini => (&body["generationConfig"]["responseJsonSchema"], true),
    };
    if schema.is_null() || !strict {
        return None;
    }
    let openai = matches!(asked.protocol, Protocol::Chat | Protocol::Responses);
    let top = (openai && schema["type"] != "object").then(|| {
        (
            Vec::new(),
            "schema must be a JSON Schema of 'type: \"object\"'".to_owned(),
        )
    });
    let mut path = Vec::new();
    let (path, detail) = top.or_else(|| walk(rule, asked.protocol, schema, schema, &mut path))?;
    let quoted: Vec<_> = path
        .iter()
        .map(|step: &String| format!("'{step}'"))
        .collect();
    Some(Broken {
        path: format!("({})", quoted.join(", ")),
        key: schema_name(body),
        detail,
        ..Broken::default()
    })
}

type Fault = (Vec<String>, String);

/// Looks at a schema and all that are in it, in the order in which they are written.
fn walk(
    rule: &Rule,
    protocol: Protocol,
    root: &Value,
    schema: &Value,
    path: &mut Vec<String>,
) -> Option<Fault> {
    let fields = schema.as_object()?;
    if let Some(detail) = fault(rule, protocol, fields) {
        return Some((path.clone(), detail));
    }
    if protocol == Protocol::Anthropic && is_recursive(root, schema, &mut Vec::new()) {
        return Some((
            path.clone(),
            "Recursive schemas are not supported".to_owned(),
        ));
    }
    let mut inside: Vec<(Vec<String>, &Value)> = Vec::new();
    for (word, value) in fields {
        if MAPS.contains(&word.as_str()) {
            let map = value.as_object().into_iter().flatten();
            inside.extend(map.map(|(name, one)| (vec![word.clone(), name.clone()], one)));
        } else if LISTS.contains(&word.as_str()) {
            let list = value.as_array().into_iter().flatten().enumerate();
            inside.extend(list.map(|(at, one)| (vec![word.clone(), at.to_string()], one)));
        } else if ONE.contains(&word.as_str()) {
            inside.push((vec![word.clone()], value));
        }
    }
    inside.into_iter().find_map(|(steps, one)| {
        let depth = path.len();
        path.extend(steps);
        let found = walk(rule, protocol, root, one, path);
        path.truncate(depth);
        found
    })
}

/// What is wrong with one schema, not with those in it.
fn fault(rule: &Rule, protocol: Protocol, fields: &Map<String, Value>) -> Option<String> {
    let kind = fields
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("object");
    if let Some(word) = rule
        .forbidden
        .iter()
        .find(|word| fields.contains_key(*word))
    {
        return Some(match protocol {
            Protocol::Anthropic => format!("For '{kind}' type, property '{word}' is not supported"),
            _ => format!("'{word}' is not permitted."),
        });
    }
    let format = fields.get("format").and_then(Value::as_str);
    if let Some(format) = format
        && !rule.formats.is_empty()
        && !rule.formats.iter().any(|one| one == format)
    {
        return Some(format!("'{format}' is not a valid format."));
    }
    if protocol == Protocol::Gemini {
        return None;
    }
    let is_object = match fields.get("type") {
        Some(Value::Array(kinds)) => kinds.contains(&json!("object")),
        Some(kind) => kind == "object",
        None => fields.contains_key("properties"),
    };
    if !is_object {
        return None;
    }
    if fields.get("additionalProperties") != Some(&json!(false)) {
        return Some(match protocol {
            Protocol::Anthropic => {
                "For 'object' type, 'additionalProperties' must be explicitly set to false"
                    .to_owned()
            }
            _ => "'additionalProperties' is required to be supplied and to be false.".to_owned(),
        });
    }
    if protocol == Protocol::Anthropic {
        return None;
    }
    let required = fields.get("required").and_then(Value::as_array);
    let named = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    let properties = fields.get("properties").and_then(Value::as_object);
    let mut names = properties.into_iter().flat_map(|fields| fields.keys());
    names.find(|name| !named(name)).map(|name| {
        format!(
            "'required' is required to be supplied and to be an array including every key in \
             properties. Missing '{name}'."
        )
    })
}

/// True if a schema's references lead back to one of themselves.
fn is_recursive<'a>(root: &'a Value, schema: &'a Value, seen: &mut Vec<&'a str>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(word, value)| {
            if word != "$ref" {
                return word != "$defs" && word != "definitions" && is_recursive(root, value, seen);
            }
            let Some(name) = value.as_str() else {
                return false;
            };
            if name == "#" || seen.contains(&name) {
                return true;
            }
            let target = root.pointer(name.trim_start_matches('#'));
            seen.push(name);
            let found = target.is_some_and(|target| is_recursive(root, target, seen));
            seen.pop();
            found
        }),
        Value::Array(items) => items.iter().any(|item| is_recursive(root, item, seen)),
        _ => false,
    }
}

/// The smallest value that fits a schema: the first of what can be chosen, and all properties.
pub(crate) fn instance(root: &Value, schema: &Value) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    if let Some(target) = schema["$ref"].as_str() {
        let target = root.pointer(target.trim_start_matches('#'));
        return target.map_or(Value::Null, |target| instance(root, target));
    }
    for word in LISTS {
        if let Some(first) = schema[word].get(0) {
            return instance(root, first);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    let number = |word: &str| schema[word].as_u64();
    match kind {
        Some("string") => json!(string(schema)),
        Some("integer" | "number") => json!(number("minimum").unwrap_or(1)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => {
            let items =
                (0..number("minItems").unwrap_or(1)).map(|_| instance(root, &schema["items"]));
            items.collect()
        }
        _ => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(name, one)| (name.clone(), instance(root, one)));
            Value::Object(fields.collect())
        }
    }
}

fn string(schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("date") => return "2026-11-30".to_owned(),
        Some("date-time") => return "2026-11-30T12:00:00Z".to_owned(),
        _ => {}
    }
    let shortest = usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).unwrap();
    let mut text = "text".to_owned();
    while text.len() < shortest {
        text.push('x');
    }
    if let Some(longest) = schema["maxLength"].as_u64() {
        text.truncate(usize::try_from(longest).unwrap());
    }
    text
}
