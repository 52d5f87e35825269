//! The vendors' documented refusals, written independently of the rules.

use serde_json::{Map, Value};

type Checked = Result<(), String>;

/// OpenAI, `strict: true`.
pub(super) fn openai_strict(schema: &Value) -> Checked {
    top_is_object(schema)?;
    each(schema, &mut |fields| {
        only(
            fields,
            &[
                "type",
                "description",
                "title",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "enum",
                "const",
                "anyOf",
                "$ref",
                "$defs",
            ],
        )?;
        closed(fields, true)?;
        lone_reference(fields, &[])
    })
}

/// Anthropic, `output_config.format`.
pub(super) fn anthropic_answer(schema: &Value) -> Checked {
    top_is_object(schema)?;
    let (mut optional, mut unions) = (0, 0);
    each(schema, &mut |fields| {
        only(
            fields,
            &[
                "type",
                "description",
                "title",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "enum",
                "const",
                "anyOf",
                "format",
                "$ref",
                "$defs",
            ],
        )?;
        closed(fields, false)?;
        lone_reference(fields, &[])?;
        let required = fields
            .get("required")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let properties = fields
            .get("properties")
            .and_then(Value::as_object)
            .map_or(0, Map::len);
        optional += properties - required;
        let is_union =
            fields.contains_key("anyOf") || fields.get("type").is_some_and(Value::is_array);
        unions += usize::from(is_union);
        names(fields)
    })?;
    if optional > 24 || unions > 16 {
        return Err(format!("{optional} optional properties, {unions} unions"));
    }
    acyclic(schema)
}

/// A tool's arguments, for every vendor but Gemini.
pub(super) fn tool(schema: &Value) -> Checked {
    top_is_object(schema)?;
    for keyword in ["oneOf", "allOf", "enum", "not", "$ref", "const"] {
        if schema.get(keyword).is_some() {
            return Err(format!("{keyword} at the top"));
        }
    }
    if !jsonschema::draft202012::meta::is_valid(schema) {
        return Err("not valid by draft 2020-12".to_owned());
    }
    each(schema, &mut |fields| {
        for keyword in ["$schema", "$id", "allOf", "oneOf", "definitions"] {
            if fields.contains_key(keyword) {
                return Err(format!("{keyword} is not permitted"));
            }
        }
        if fields.get("type") == Some(&"object".into()) && !fields.contains_key("properties") {
            return Err("object schema missing properties".to_owned());
        }
        let is_array = fields.get("type") == Some(&"array".into());
        if is_array && !fields.contains_key("items") && !fields.contains_key("prefixItems") {
            return Err("array schema missing items".to_owned());
        }
        names(fields)
    })
}

/// Gemini, answers and arguments.
pub(super) fn gemini(schema: &Value) -> Checked {
    each(schema, &mut |fields| {
        only(
            fields,
            &[
                "type",
                "description",
                "title",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "prefixItems",
                "minItems",
                "maxItems",
                "minimum",
                "maximum",
                "enum",
                "anyOf",
                "format",
                "propertyOrdering",
            ],
        )?;
        if let Some(Value::Array(types)) = fields.get("type")
            && (types.len() != 2 || types.iter().any(|one| one == "object" || one == "array"))
        {
            return Err("a list of types".to_owned());
        }
        let values = fields.get("enum").and_then(Value::as_array);
        if values.is_some_and(|all| {
            !all.iter().all(Value::is_string) && !all.iter().all(Value::is_number)
        }) {
            return Err("an enumeration of other values than texts or numbers".to_owned());
        }
        known_required(fields)
    })
}

fn top_is_object(schema: &Value) -> Checked {
    match schema["type"] == "object" && schema.get("anyOf").is_none() {
        true => Ok(()),
        false => Err("the top must be an object without anyOf".to_owned()),
    }
}

fn only(fields: &Map<String, Value>, keywords: &[&str]) -> Checked {
    match fields
        .keys()
        .find(|name| !keywords.contains(&name.as_str()))
    {
        Some(name) => Err(format!("{name} is not permitted")),
        None => Ok(()),
    }
}

fn closed(fields: &Map<String, Value>, all_required: bool) -> Checked {
    let is = |kind: &str| match fields.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    };
    if is("object") {
        if fields.get("additionalProperties") != Some(&false.into()) {
            return Err("additionalProperties must be false".to_owned());
        }
        known_required(fields)?;
        let properties = fields.get("properties").and_then(Value::as_object);
        let properties = properties.ok_or("properties are missing")?;
        let required = fields.get("required").and_then(Value::as_array);
        let required = required.ok_or("required is missing")?;
        if all_required && required.len() != properties.len() {
            return Err("all properties must be required".to_owned());
        }
    }
    if is("array") && !fields.contains_key("items") {
        return Err("items are missing".to_owned());
    }
    let says = ["type", "anyOf", "$ref", "enum", "const"];
    match says.iter().any(|name| fields.contains_key(*name)) {
        true => Ok(()),
        false => Err("a type is missing".to_owned()),
    }
}

fn known_required(fields: &Map<String, Value>) -> Checked {
    let required = fields.get("required").and_then(Value::as_array);
    let properties = fields.get("properties");
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    for name in names {
        if properties.and_then(|all| all.get(name)).is_none() {
            return Err(format!("required {name:?} is not defined"));
        }
    }
    Ok(())
}

fn lone_reference(fields: &Map<String, Value>, also: &[&str]) -> Checked {
    let others = fields
        .keys()
        .filter(|name| *name != "$ref" && !also.contains(&name.as_str()));
    match fields.contains_key("$ref") && others.count() > 0 {
        true => Err("$ref cannot have other keywords".to_owned()),
        false => Ok(()),
    }
}

fn names(fields: &Map<String, Value>) -> Checked {
    let properties = fields.get("properties").and_then(Value::as_object);
    for name in properties.into_iter().flat_map(Map::keys) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!("the name {name:?}"));
        }
    }
    Ok(())
}

/// Visits all schemas inside of a schema.
fn each(schema: &Value, look: &mut dyn FnMut(&Map<String, Value>) -> Checked) -> Checked {
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Bool(_) => return Err("a boolean schema".to_owned()),
        other => return Err(format!("{other} is no schema")),
    };
    look(fields)?;
    for (keyword, value) in fields {
        match (keyword.as_str(), value) {
            ("properties" | "$defs", Value::Object(schemas)) => {
                schemas.values().try_for_each(|one| each(one, look))?;
            }
            ("anyOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter().try_for_each(|one| each(one, look))?;
            }
            ("items" | "additionalProperties", value) if !value.is_boolean() => each(value, look)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks that no definition refers to itself, directly or through others, and that each referenced
/// one exists.
fn acyclic(schema: &Value) -> Checked {
    fn follow<'a>(root: &'a Value, at: &'a Value, path: &mut Vec<&'a str>) -> Checked {
        match at {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    if path.contains(&reference.as_str()) {
                        return Err(format!("{reference} is recursive"));
                    }
                    let target = root.pointer(reference.trim_start_matches('#'));
                    path.push(reference);
                    follow(root, target.ok_or("no such definition")?, path)?;
                    path.pop();
                }
                let others = fields.iter().filter(|(name, _)| *name != "$defs");
                others
                    .into_iter()
                    .try_for_each(|(_, value)| follow(root, value, path))
            }
            Value::Array(items) => items.iter().try_for_each(|one| follow(root, one, path)),
            _ => Ok(()),
        }
    }
    follow(schema, schema, &mut Vec::new())
}
