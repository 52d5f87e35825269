//! Every evaluator, with input that its grammar makes hostile: each comes back, no worker
//! outlives its deadline, and honest work goes on meanwhile.

use std::time::Duration;

use serde_json::{Map, Value, json};
use talkgraph_domain::Principal;
use talkgraph_evaluation::{Escape, EvaluationLimits, Evaluator, Failure, Whom};

use crate::evaluation::doubling_schema;
use crate::support::wait::{eventually, soon};

const JOB_TIMEOUT: Duration = Duration::from_millis(300);

fn evaluator() -> Evaluator {
    Evaluator::new(EvaluationLimits {
        program: Some(env!("CARGO_BIN_EXE_talkgraph").into()),
        workers: 3,
        workers_per_tenant: 2,
        queue: 1_000,
        queue_per_tenant: 1_000,
        queue_bytes: 1 << 30,
        queue_timeout: Duration::from_secs(60),
        job_timeout: JOB_TIMEOUT,
        start_timeout: Duration::from_secs(30),
        memory_bytes: 128 << 20,
        idle: Duration::from_secs(60),
    })
}

/// Deep, wide, shared and repeated expressions of minijinja over a value.
fn expressions(of: &str) -> Vec<String> {
    let mut all = Vec::new();
    for times in [100, 7_000, 40_000] {
        for unary in [
            "-",
            "not ",
            "(",
            "[",
            "{'a': ",
            "1 + ",
            "1 ** ",
            "1 if 1 else ",
        ] {
            all.push(format!("{}{of}", unary.repeat(times)));
        }
        for (open, close) in [("(", ")"), ("[", "]"), ("{'a':", "}")] {
            all.push(format!("{}{of}{}", open.repeat(times), close.repeat(times)));
        }
        for suffix in [
            "|abs",
            "|list",
            ".a",
            "[0]",
            "()",
            "~'a'",
            " is defined",
            "|string",
        ] {
            all.push(format!("{of}{}", suffix.repeat(times)));
        }
        for operator in [" + ", " * ", " and ", " or ", " ~ ", " in ", " == ", " < "] {
            all.push(vec![of; times / 5].join(operator));
        }
    }
    all.extend(
        [
            "'x' * 99999999999",
            "('x' * 9999) * 9999",
            "[0] * 99999999",
            "range(99999999)|list",
            "range(9999)|map('string')|join('x' * 9999)",
            "('a' * 9999)|replace('a', 'a' * 9999)|replace('a', 'a' * 9999)",
        ]
        .map(|text| format!("{text} == {of}")),
    );
    all
}

/// Templates around expressions, and statements of every kind.
fn templates(of: &str) -> Vec<String> {
    let mut all: Vec<_> = expressions(of)
        .into_iter()
        .map(|text| format!("{{{{ {text} }}}}"))
        .collect();
    let doubled = |name: &str, how: &str| {
        let again = format!("{{% set {name} = {} %}}", how.replace('_', name)).repeat(60);
        format!("{{% set {name} = {of} %}}{again}")
    };
    for how in ["[_, _]", "_ ~ _", "{'a': _, 'b': _}", "_ * 9", "[_]|list"] {
        for end in [
            "a == b",
            "a < b",
            "a|string|length",
            "a in [b]",
            "a|length",
            "a",
        ] {
            all.push(format!(
                "{}{}{{{{ {end} }}}}",
                doubled("a", how),
                doubled("b", how)
            ));
        }
    }
    for times in [100, 10_000] {
        for block in [
            "{% if 1 %}",
            "{% for a in [1, 2] %}",
            "{% for a in range(9) recursive %}{{ loop([1]) }}",
            "{% set a %}",
            "{% macro a() %}{{ a() }}",
            "{% filter upper %}",
            "{# ",
            "{{ ",
            "{% raw %}",
            "{% with a = 1 %}",
            "{% block a %}",
        ] {
            all.push(block.repeat(times));
        }
    }
    let nested = "{% for a in range(9999) %}".repeat(6) + "x" + &"{% endfor %}".repeat(6);
    all.push(nested);
    all.push("{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}".to_owned());
    all
}

fn object(mut schema: Value) -> Value {
    schema["type"] = json!("object");
    schema
}

/// Patterns and formats, with texts that are long to match.
fn matching_schemas() -> Vec<(Value, Value)> {
    let mut all = Vec::new();
    for pattern in [
        "^(a+)+$",
        "^(a|a)*$",
        "(a*)*b",
        "(?=(a+))*b",
        "^(a|a?)+\\1$",
        "a{1000}{1000}",
        "((a{100}){100}){100}",
        "(\\p{L}{50}){50}",
        "(.*)*(.*)*(.*)*x",
    ] {
        let text = "a".repeat(5_000) + "!";
        all.push((
            object(json!({ "properties": { "a": { "pattern": pattern } } })),
            json!({ "a": text }),
        ));
        all.push((
            object(json!({ "patternProperties": { pattern: false } })),
            json!({ text: 1 }),
        ));
    }
    for format in [
        "regex",
        "idn-email",
        "uri-template",
        "iri",
        "json-pointer",
        "duration",
    ] {
        all.push((
            object(
                json!({ "$schema": "http://json-schema.org/draft-07/schema#",
                "properties": { "a": { "format": format } } }),
            ),
            json!({ "a": "(".repeat(30_000) }),
        ));
    }
    all
}

/// Schemas that refer, combine, compare and match, with values that make the most of it.
fn schemas() -> Vec<(Value, Value)> {
    let nested = |keyword: &str, list: bool| {
        (0..60).fold(json!({ "type": "integer" }), |inner, _| match list {
            true => {
                json!({ keyword: [inner, inner.get("type").map_or(json!(true), |_| json!({}))] })
            }
            false => json!({ keyword: inner }),
        })
    };
    let deep = |times| (0..times).fold(json!(1), |inner, _| json!([inner]));
    let mut all = vec![
        (doubling_schema(), json!({ "a": "x" })),
        (object(json!({ "$ref": "#" })), json!({ "a": 1 })),
        (
            object(json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] })),
            json!({ "a": 1 }),
        ),
        (
            object(
                json!({ "additionalProperties": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } }),
            ),
            (0..60).fold(json!(1), |inner, _| json!({ "a": inner })),
        ),
        (
            object(json!({ "properties": { "a": { "uniqueItems": true } } })),
            json!({ "a": (0..20_000).map(|n| json!([n, [n]])).collect::<Vec<_>>() }),
        ),
        (
            object(
                json!({ "properties": { "a": { "contains": { "enum": (0..5_000).collect::<Vec<_>>() } } } }),
            ),
            json!({ "a": vec![-1; 5_000] }),
        ),
        (
            object(json!({ "properties": { "a": { "items": { "required":
                (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>() } } } })),
            json!({ "a": vec![json!({}); 5_000] }),
        ),
        (
            object(json!({ "properties": { "a": { "items": { "items": false } } } })),
            json!({ "a": deep(100) }),
        ),
    ];
    all.extend(matching_schemas());
    for keyword in ["allOf", "anyOf", "oneOf"] {
        all.push((object(nested(keyword, true)), json!({ "a": "x" })));
    }
    for keyword in [
        "not",
        "if",
        "items",
        "unevaluatedProperties",
        "propertyNames",
        "then",
    ] {
        all.push((object(nested(keyword, false)), json!({ "a": "x" })));
    }
    all
}

async fn returns<T>(
    evaluating: impl Future<Output = Result<T, Failure>>,
    input: &str,
) -> Result<T, Failure> {
    let what = format!("a result of {:.60}", input);
    let result = soon(&what, evaluating).await;
    if let Err(Failure::Unavailable(why)) = &result {
        panic!("{why}: {input:.60}");
    }
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_evaluator_comes_back() {
    let (evaluator, who) = (evaluator(), Principal::new("a", "ann", "ann"));
    let at = talkgraph_domain::time::now();
    let variables = json!({ "x": ["a", { "b": "c" }] });
    let variables = variables.as_object().unwrap();
    let arguments = json!({ "x": ["a", { "b": "c" }] });
    for template in templates("variables.x") {
        let _ = returns(
            evaluator.check_instructions((&who).into(), &template),
            &template,
        )
        .await;
    }
    for template in templates("variables.x").iter().step_by(3) {
        let rendered = evaluator.instructions(&who, template, at, variables);
        let _ = returns(rendered, template).await;
        let _ = returns(evaluator.variables_of((&who).into(), template), template).await;
    }
    for template in templates("args.x").iter().step_by(3) {
        let _ = returns(evaluator.check_request(template, Escape::Json), template).await;
        let rendered = evaluator.request(&who, template, Escape::Url, &arguments);
        let _ = returns(rendered, template).await;
    }
    for text in expressions("args.x").iter().step_by(2) {
        let _ = returns(evaluator.check_expression(text), text).await;
        let _ = returns(evaluator.holds(&who, text, &arguments), text).await;
    }
    for text in ["9^9^9^9", "99999999!", "10^100000000"] {
        let _ = returns(evaluator.calculate(&who, text), text).await;
    }
    for open in ["(", "-", "sqrt ", "1+", "2^", "!", "\\x.", "1 to "] {
        let text = open.repeat(20_000);
        let _ = returns(evaluator.calculate(&who, &text), &text).await;
    }
    // Honest work is done all the same.
    let none = Map::new();
    let honest = evaluator.instructions(&who, "{{ owner|upper }}", at, &none);
    assert_eq!(honest.await.as_deref(), Ok("ANN"));
    // Nothing computes any more.
    drop(evaluator);
    eventually("the workers' end", async || (workers() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_schema_comes_back() {
    let (evaluator, who) = (evaluator(), Principal::new("a", "ann", "ann"));
    for (schema, value) in schemas() {
        let text = schema.to_string();
        let compiled = returns(evaluator.compile(Whom::Server, &schema), &text).await;
        let Ok(compiled) = compiled else {
            continue;
        };
        let validated = evaluator.validate((&who).into(), &compiled, &value, "the value");
        let _ = returns(validated, &text).await;
    }
    drop(evaluator);
    eventually("the workers' end", async || (workers() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenant_does_not_keep_others_waiting() {
    let (evaluator, ann) = (evaluator(), Principal::new("a", "ann", "ann"));
    let schema = evaluator
        .compile(Whom::Server, &doubling_schema())
        .await
        .unwrap();
    let hostile = (0..40).map(|n| {
        let (evaluator, schema, ann) = (&evaluator, &schema, &ann);
        async move {
            let value = json!({ "a": format!("x{n}") });
            evaluator.validate(ann.into(), schema, &value, "it").await
        }
    });
    let hostile = futures_util::future::join_all(hostile);
    let honest = async {
        let bob = Principal::new("b", "bob", "bob");
        for n in 0..20 {
            let sum = evaluator.calculate(&bob, &format!("{n} + 1")).await;
            assert_eq!(sum, Ok((n + 1).to_string()));
        }
    };
    let mut hostile = std::pin::pin!(hostile);
    // All of the honest ones are done before the hostile ones are.
    tokio::select! {
        biased;
        () = honest => {}
        _ = &mut hostile => panic!("the hostile jobs came first"),
    }
    for result in hostile.await {
        assert!(matches!(result, Err(Failure::TooCostly(_))), "{result:?}");
    }
    // The same job again is not paid again.
    let value = json!({ "a": "x0" });
    let again = evaluator
        .validate((&ann).into(), &schema, &value, "it")
        .await;
    assert!(matches!(again, Err(Failure::TooCostly(_))), "{again:?}");
}

/// The processes that this one has started.
fn workers() -> usize {
    let parent = format!("PPid:\t{}", std::process::id());
    let is_worker = |entry: &std::fs::DirEntry| {
        let status = std::fs::read_to_string(entry.path().join("status"));
        status.is_ok_and(|status| {
            status.lines().any(|line| line == parent) && !status.contains("State:\tZ")
        })
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().filter(is_worker).count()
}
