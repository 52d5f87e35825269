#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::check::{anthropic_answer, gemini, openai_strict, tool};
use super::{answer, anthropic, arguments, compatible, gemini as google, json_schema, openai};
use talkgraph_domain::restored;

fn names_of(schema: &Value) -> Vec<&String> {
    schema["properties"].as_object().unwrap().keys().collect()
}

#[test]
fn properties_keep_their_order() {
    let text = r#"{"type":"object","required":["steps","conclusion","answer"],"properties":{"steps":
        {"type":"string"},"conclusion":{"type":"string"},"answer":{"type":"string"}}}"#;
    let schema: Value = serde_json::from_str(text).unwrap();
    for rules in [&openai::ANSWER, &anthropic::ANSWER, &google::ANSWER] {
        let reduced = answer(&schema, rules).unwrap();
        assert_eq!(names_of(&reduced), ["steps", "conclusion", "answer"]);
    }
    for rules in [&compatible::TOOL, &anthropic::TOOL, &google::TOOL] {
        assert_eq!(
            names_of(&arguments(&schema, rules)),
            ["steps", "conclusion", "answer"]
        );
    }
    let ordering = &answer(&schema, &google::ANSWER).unwrap()["propertyOrdering"];
    assert_eq!(ordering, &json!(["steps", "conclusion", "answer"]));
}

#[test]
fn strict_answers_are_closed_and_describe_their_bounds() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
        "properties": {
            "count": { "type": "integer", "minimum": 1, "maximum": 5, "description": "How many." },
            "note": { "type": "string", "format": "email" },
            "unit": { "enum": ["c", "f"] },
        },
        "required": ["count"],
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "count": { "type": "integer", "description": "How many. (minimum: 1; maximum: 5)" },
            "note": { "type": ["string", "null"], "description": "format: email" },
            "unit": { "anyOf": [{ "type": "string", "enum": ["c", "f"] }, { "type": "null" }] },
        },
        "required": ["count", "note", "unit"],
        "additionalProperties": false,
    });
    assert_eq!(json_schema(&schema), (expected, true));
}

#[test]
fn an_open_answer_is_not_strict() {
    for schema in [
        json!({ "type": "object" }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        json!({ "type": "object", "properties": { "any": {} } }),
        json!({ "type": "object", "properties": { "list": { "type": "array" } } }),
    ] {
        let (reduced, strict) = json_schema(&schema);
        assert!(!strict, "{reduced}");
        assert_eq!(reduced["type"], "object");
        assert_eq!(answer(&schema, &anthropic::ANSWER), None);
    }
}

#[test]
fn non_object_answer_is_wrapped() {
    for schema in [
        json!({ "type": "array", "items": { "type": "string" } }),
        json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }),
        json!({ "oneOf": [
            { "type": "object", "properties": { "a": { "const": 1 } }, "required": ["a"] },
            { "type": "object", "properties": { "b": { "const": 2 } }, "required": ["b"] },
        ] }),
    ] {
        let (reduced, strict) = json_schema(&schema);
        assert!(strict);
        assert_eq!(names_of(&reduced), ["answer"]);
        openai_strict(&reduced).unwrap();
        anthropic_answer(&answer(&schema, &anthropic::ANSWER).unwrap()).unwrap();
    }
}

#[test]
fn recursive_schema_is_kept_where_supported() {
    let schema = json!({
        "$ref": "#/definitions/node",
        "definitions": { "node": {
            "type": "object", "required": ["name", "children"],
            "properties": {
                "name": { "type": "string" },
                "children": { "type": "array", "items": { "$ref": "#/definitions/node" } },
            },
        } },
    });
    let (reduced, strict) = json_schema(&schema);
    assert!(strict);
    openai_strict(&reduced).unwrap();
    assert_eq!(
        reduced["properties"]["children"]["items"],
        json!({ "$ref": "#/$defs/node" })
    );
    assert!(reduced["$defs"]["node"].is_object(), "{reduced}");
    assert_eq!(answer(&schema, &anthropic::ANSWER), None);
    let inlined = answer(&schema, &google::ANSWER).unwrap();
    gemini(&inlined).unwrap();
    let again = &inlined["properties"]["children"]["items"];
    assert_eq!(again["type"], "object");
}

#[test]
fn tools_get_an_object_at_the_top() {
    for (schema, expected) in [
        (
            json!({ "type": "object" }),
            json!({ "type": "object", "properties": {} }),
        ),
        (json!({}), json!({ "type": "object", "properties": {} })),
        (
            json!({ "$ref": "#/$defs/in", "$defs": { "in": { "type": "object", "properties": { "a": true } } } }),
            json!({ "type": "object", "properties": { "a": {} } }),
        ),
        (
            json!({ "type": "object", "properties": { "id": { "type": "string" }, "url": { "type": "string" } },
                "oneOf": [{ "required": ["id"] }, { "required": ["url"] }] }),
            json!({ "type": "object", "properties": { "id": { "type": "string" }, "url": { "type": "string" } },
                "description": "oneOf: [id] or [url]" }),
        ),
        (
            json!({ "anyOf": [
                { "properties": { "kind": { "const": "a" }, "x": { "type": "integer" } }, "required": ["kind", "x"] },
                { "properties": { "kind": { "const": "b" } }, "required": ["kind"] },
            ] }),
            json!({ "required": ["kind"], "type": "object",
                "properties": {
                    "kind": { "anyOf": [{ "type": "string", "const": "a" }, { "type": "string", "const": "b" }] },
                    "x": { "type": "integer" },
                },
                "description": "anyOf: [kind, x] or [kind]" }),
        ),
        (
            json!({ "type": "object", "properties": { "x": { "type": "string", "pattern": "(?<=a)b" } } }),
            json!({ "type": "object", "properties": { "x": { "type": "string", "description": "pattern: (?<=a)b" } } }),
        ),
    ] {
        let reduced = arguments(&schema, &compatible::TOOL);
        assert_eq!(reduced, expected);
        tool(&reduced).unwrap();
        gemini(&arguments(&schema, &google::TOOL)).unwrap();
        tool(&arguments(&schema, &anthropic::TOOL)).unwrap();
    }
}

#[test]
fn refused_property_names_are_described() {
    let schema = json!({ "type": "object", "properties": { "$filter": { "type": "string" }, "top": { "type": "integer" } } });
    let reduced = arguments(&schema, &anthropic::TOOL);
    assert_eq!(names_of(&reduced), ["top"]);
    assert!(
        reduced["description"].as_str().unwrap().contains("$filter"),
        "{reduced}"
    );
    assert_eq!(
        names_of(&arguments(&schema, &compatible::TOOL)),
        ["$filter", "top"]
    );
}

#[test]
fn types_and_values_are_those_that_gemini_takes() {
    let schema = json!({ "type": "object", "properties": {
        "list": { "type": ["array", "null"], "items": { "type": ["object", "null"], "properties": { "v": true } } },
        "either": { "type": ["string", "integer"], "minimum": 1 },
        "flag": { "enum": [true, false] },
        "level": { "type": ["string", "null"], "enum": ["low", null] },
        "only": { "const": 7 },
        "empty": { "type": "string", "enum": [] },
    } });
    let reduced = arguments(&schema, &google::TOOL);
    gemini(&reduced).unwrap();
    let properties = &reduced["properties"];
    assert_eq!(
        properties["either"],
        json!({ "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 1 }] })
    );
    assert_eq!(
        properties["level"],
        json!({ "anyOf": [{ "type": "string", "enum": ["low"] }, { "type": "null" }] })
    );
    assert_eq!(
        properties["flag"],
        json!({ "type": "boolean", "description": "enum: [true,false]" })
    );
    assert_eq!(
        properties["only"],
        json!({ "type": "integer", "enum": [7] })
    );
    assert_eq!(properties["empty"], json!({ "type": "string" }));
}

#[test]
fn an_optional_property_before_a_required_one_keeps_its_place() {
    let schema = json!({ "type": "object", "required": ["answer"], "properties": {
        "thoughts": { "type": "string" }, "answer": { "type": "string" }, "more": { "type": "string" },
    } });
    let reduced = answer(&schema, &anthropic::ANSWER).unwrap();
    assert_eq!(reduced["required"], json!(["thoughts", "answer"]));
    assert_eq!(
        reduced["properties"]["thoughts"]["type"],
        json!(["string", "null"])
    );
    assert_eq!(reduced["properties"]["more"]["type"], "string");
}

#[test]
fn endless_references_stop_at_the_bounds() {
    // Each level refers to the next one twice: 2^40 schemas if all were inlined.
    let mut definitions = Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
        definitions.insert(
            format!("l{level}"),
            json!({ "type": "object", "properties": { "a": next, "b": next }, "required": ["a", "b"] }),
        );
    }
    definitions.insert("l40".to_owned(), json!({ "type": "string" }));
    let schema = json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/l0" } }, "$defs": definitions });
    let all = json!({ "$ref": "#/$defs/all", "$defs": { "all": { "allOf": [
        { "$ref": "#/$defs/all" }, { "$ref": "#/$defs/all" }, { "$ref": "#" }] } } });
    let deep = (0..120).fold(
        json!({ "type": "string" }),
        |inner, _| json!({ "type": "object", "properties": { "a": inner } }),
    );
    let wide = json!({ "type": "object", "properties": { "a": { "type": "string" } },
        "anyOf": vec![json!({ "properties": { "b": { "type": "string" } } }); 5_000] });
    // One large schema that is referenced, or is part of a branch, everywhere.
    let long: Vec<_> = (0..4_000).map(|n| format!("value {n}")).collect();
    let references: Map<_, _> = (0..500)
        .map(|n| (format!("p{n}"), json!({ "$ref": "#/$defs/long" })))
        .collect();
    let heavy = json!({ "type": "object", "properties": references,
        "$defs": { "long": { "enum": long } } });
    let branch = |n: i32| json!({ "type": "object", "properties": { "b": { "const": n } } });
    let based = json!({ "type": "object", "properties": { "x": {
        "type": "object", "properties": { "a": { "enum": long } },
        "anyOf": (0..60).map(branch).collect::<Vec<_>>() } } });
    for schema in [&schema, &all, &deep, &wide, &heavy, &based] {
        for rules in [&compatible::TOOL, &anthropic::TOOL, &google::TOOL] {
            let reduced = arguments(schema, rules).to_string();
            assert!(reduced.len() < 400_000, "{} bytes", reduced.len());
        }
        for rules in [
            &openai::ANSWER,
            &anthropic::ANSWER,
            &google::ANSWER,
            &compatible::ANSWER,
        ] {
            let reduced = answer(schema, rules).map_or(0, |one| one.to_string().len());
            assert!(reduced < 400_000, "{reduced} bytes");
        }
    }
}

/// Schemas as people and programs write them, with all features that vendors treat differently.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "type": "string" })),
        Just(
            json!({ "type": "string", "minLength": 1, "pattern": "^[a-z]+$", "description": "d" })
        ),
        Just(json!({ "type": "string", "format": "date" })),
        Just(json!({ "type": "integer", "minimum": 1, "maximum": 3 })),
        Just(json!({ "type": ["number", "null"] })),
        Just(json!({ "type": ["string", "integer", "boolean"] })),
        Just(json!({ "type": "boolean", "default": true })),
        Just(json!({ "enum": ["a", "b"] })),
        Just(json!({ "enum": ["a", 1, null] })),
        Just(json!({ "const": 1 })),
        Just(json!({ "type": "string", "nullable": true })),
        Just(json!({ "$ref": "#/$defs/x" })),
        Just(json!({ "$ref": "#/definitions/y", "description": "next to it" })),
        Just(json!({ "$ref": "#/$defs/absent" })),
        Just(json!({ "$ref": "#" })),
        Just(json!({})),
        Just(json!(true)),
        Just(json!({ "type": "object" })),
        Just(json!({ "type": "array" })),
        Just(json!({ "not": { "type": "string" } })),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let names = prop::sample::select(vec!["a", "b", "c", "odd name"]);
        let object = (
            prop::collection::vec((names, inner.clone(), any::<bool>()), 0..4),
            prop::option::of(any::<bool>()),
        );
        let object = object.prop_map(|(properties, more)| {
            let required: Vec<_> = properties.iter().filter(|one| one.2).map(|one| one.0).collect();
            let properties: Map<_, _> =
                properties.iter().map(|one| (one.0.to_owned(), one.1.clone())).collect();
            let mut schema = json!({ "type": "object", "properties": properties });
            if !required.is_empty() {
                schema["required"] = json!(required);
            }
            if let Some(more) = more {
                schema["additionalProperties"] = more.into();
            }
            schema
        });
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            4 => object,
            2 => inner.prop_map(|items| json!({ "type": "array", "items": items, "maxItems": 3 })),
            1 => list.clone().prop_map(|items| json!({ "type": "array", "prefixItems": items })),
            1 => list.clone().prop_map(|branches| json!({ "anyOf": branches })),
            1 => list.clone().prop_map(|branches| json!({ "oneOf": branches, "description": "one" })),
            1 => list.prop_map(|branches| json!({ "allOf": branches })),
        ]
    })
}

fn documents() -> impl Strategy<Value = Value> {
    (schemas(), schemas(), schemas()).prop_map(|(top, x, y)| {
        let mut top = match top {
            Value::Object(_) => top,
            _ => json!({}),
        };
        top["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        top["$defs"] = json!({ "x": x });
        top["definitions"] = json!({ "y": y });
        top
    })
}

/// A value that a reduced schema allows, chosen by the numbers of `choices`.
fn instance(
    root: &Value,
    schema: &Value,
    choices: &mut dyn Iterator<Item = usize>,
    depth: usize,
) -> Value {
    let mut choose = |of: usize| choices.next().unwrap_or(0) % of.max(1);
    if depth > 12 {
        return Value::Null;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return instance(root, target, choices, depth + 1);
    }
    if let Some(branches) = schema["anyOf"].as_array() {
        let branch = &branches[choose(branches.len())];
        return instance(root, branch, choices, depth + 1);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values[choose(values.len())].clone();
    }
    let kind = match &schema["type"] {
        Value::Array(types) => types[choose(types.len())].as_str().unwrap(),
        kind => kind.as_str().unwrap_or("null"),
    };
    match kind {
        "string" => json!(["", "abc", "2026-11-30"][choose(3)]),
        "integer" => json!(choose(5)),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "array" => {
            let count = choose(3);
            let items = (0..count).map(|_| instance(root, &schema["items"], choices, depth + 1));
            items.collect()
        }
        "object" => {
            let mut object = Map::new();
            for (name, property) in schema["properties"].as_object().unwrap() {
                object.insert(name.clone(), instance(root, property, choices, depth + 1));
            }
            object.into()
        }
        _ => Value::Null,
    }
}

/// The value with all nulls of objects and the wrapping object removed: restoring may not change
/// anything else.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields
                .map(|(name, value)| (name.clone(), bare(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        value => value.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reduced_schemas_keep_the_vendors_rules(schema in documents()) {
        if let Some(strict) = answer(&schema, &openai::ANSWER) {
            prop_assert_eq!(openai_strict(&strict), Ok(()), "{}", strict);
        }
        if let Some(native) = answer(&schema, &anthropic::ANSWER) {
            prop_assert_eq!(anthropic_answer(&native), Ok(()), "{}", native);
        }
        prop_assert_eq!(gemini(&answer(&schema, &google::ANSWER).unwrap()), Ok(()));
        for rules in [&compatible::TOOL, &anthropic::TOOL] {
            let reduced = arguments(&schema, rules);
            let checked = tool(&reduced);
            let is_name = |why: &String| why.starts_with("the name") && !rules.plain_names;
            prop_assert!(checked.as_ref().err().is_none_or(is_name), "{checked:?} {reduced}");
        }
        prop_assert_eq!(gemini(&arguments(&schema, &google::TOOL)), Ok(()));
    }

    /// An answer that follows the reduced schema is valid for the full one, unchanged or restored,
    /// or is refused by the full one; restoring changes only nulls and the wrapping.
    #[test]
    fn answers_are_judged_by_the_full_schema(
        schema in documents(),
        choices in prop::collection::vec(0_usize..12, 60),
    ) {
        let Some(reduced) = answer(&schema, &openai::ANSWER) else { return Ok(()) };
        let value = instance(&reduced, &reduced, &mut choices.into_iter(), 0);
        for candidate in restored(&value, &schema) {
            let inner = value.get("answer").filter(|_| value.as_object().unwrap().len() == 1);
            let same = bare(&candidate) == bare(&value)
                || inner.is_some_and(|inner| bare(&candidate) == bare(inner));
            prop_assert!(same, "{value} became {candidate}");
        }
    }
}

/// Schemas whose copies are complete: any value that the copy allows is valid once restored.
#[test]
fn complete_copy_allows_only_valid_values() {
    let schema = json!({
        "type": "object", "required": ["kind", "parts"],
        "properties": {
            "kind": { "enum": ["a", "b"] },
            "note": { "type": "string" },
            "level": { "type": ["integer", "null"] },
            "parts": { "type": "array", "items": { "oneOf": [
                { "$ref": "#/$defs/text" },
                { "type": "object", "properties": { "type": { "const": "file" }, "url": { "type": "string" } },
                  "required": ["type"] },
            ] } },
        },
        "$defs": { "text": { "type": "object", "required": ["type", "text"], "properties": {
            "type": { "const": "text" }, "text": { "type": "string" }, "lang": { "type": "string" } } } },
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let reduced = answer(&schema, &openai::ANSWER).unwrap();
    openai_strict(&reduced).unwrap();
    for seed in 0..500_usize {
        let mut choices = (0..).map(|at| (seed * 7919 + at * 104_729) / 13);
        let value = instance(&reduced, &reduced, &mut choices, 0);
        let valid = std::iter::once(value.clone()).chain(restored(&value, &schema));
        assert!(
            valid.into_iter().any(|one| validator.is_valid(&one)),
            "{value}"
        );
    }
}
