//! Requests that are made to hurt.

use std::fmt::Write;

use serde_json::{Value, json};

/// A request that must be refused.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) request: Vec<u8>,
    /// The code of the refusal; any of the client's codes where the transport's own rules
    /// come first.
    pub(crate) code: &'static str,
}

/// Every kind, as the JSON of a POST body or of a WebSocket payload.
pub(crate) fn all() -> Vec<Hostile> {
    let mut all = documents();
    all.extend(variables());
    all.extend(broken());
    all
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn documents() -> Vec<Hostile> {
    let list = |depth: usize| format!("{{ a(b: {}{}) }}", "[".repeat(depth), "]".repeat(depth));
    let object =
        |depth: usize| format!("{{ a(b: {}1{}) }}", "{c:".repeat(depth), "}".repeat(depth));
    let selections = |depth: usize| format!("{}a{}", "{a".repeat(depth), "}".repeat(depth));
    let types = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("query($a: {open}Int{close}) {{ a }}")
    };
    let many = |what: &str, count: usize| format!("{{ {} }}", what.repeat(count));
    let numbered = |line: &dyn Fn(usize) -> String, count: usize| {
        format!("{{ {} }}", (0..count).map(line).collect::<String>())
    };
    let limit = "LIMIT_EXCEEDED";
    let (syntax, invalid) = ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED");
    [
        ("list literal, 1,000 deep", list(1_000), limit),
        ("list literal, 100,000 deep", list(100_000), limit),
        (
            "open list literal, 900 deep",
            format!("{{ a(b: {}", "[".repeat(900)),
            limit,
        ),
        ("object literal, 500 deep", object(500), limit),
        ("object literal, 100,000 deep", object(100_000), limit),
        ("selections, 500 deep", selections(500), limit),
        ("selections, 100,000 deep", selections(100_000), limit),
        ("variable type, 900 deep", types(900), limit),
        (
            "fragment bomb, 8 levels x 10",
            bomb(8, 10, "F", true),
            limit,
        ),
        (
            "fragment bomb, 24 levels x 2",
            bomb(24, 2, "F", true),
            limit,
        ),
        ("fragment bomb, unused", bomb(24, 2, "F", false), limit),
        (
            "fragment bomb, introspection's names",
            bomb(24, 2, "__schema", true),
            limit,
        ),
        ("chain of 200 fragments", bomb(200, 1, "F", true), limit),
        ("fragment cycle", cycle(3), invalid),
        ("fragment that spreads itself", cycle(1), invalid),
        ("introspection, lists in lists", introspection(5), limit),
        (
            "10,000 aliases",
            numbered(&|n| format!("a{n}:__typename "), 10_000),
            limit,
        ),
        (
            "600 aliases",
            numbered(&|n| format!("a{n}:__typename "), 600),
            limit,
        ),
        ("10,000 directives", many("__typename @a ", 10_000), limit),
        ("600 directives", many("__typename @a ", 600), limit),
        (
            "10,000 unknown fields",
            numbered(&|n| format!("unknown{n} "), 10_000),
            limit,
        ),
        ("990 unknown fields", unknown_fields(990), invalid),
        (
            "29 unknown fields of 2 KB",
            numbered(&|n| format!("u{n}{} ", "x".repeat(2_000)), 29),
            invalid,
        ),
        (
            "1,000 operations",
            (0..1_000).map(|n| format!("query Q{n}{{a}}")).collect(),
            limit,
        ),
        (
            "string of 10 MB",
            format!("{{ a(b: \"{}\") }}", "x".repeat(10_000_000)),
            limit,
        ),
        (
            "string of 60 KB",
            format!("{{ a(b: \"{}\") }}", "x".repeat(60_000)),
            invalid,
        ),
        (
            "comment of 60 KB",
            format!("#{}\n{{ a }}", "x".repeat(60_000)),
            invalid,
        ),
        (
            "60,000 commas",
            format!("{{ a {} }}", ",".repeat(60_000)),
            invalid,
        ),
        (
            "number of 60 KB",
            format!("{{ a(b: {}) }}", "9".repeat(60_000)),
            syntax,
        ),
        (
            "exponent out of range",
            "{ a(b: 1e999999999) }".to_owned(),
            syntax,
        ),
        ("unclosed string", "{ a(b: \"".to_owned(), syntax),
        ("unclosed block string", "{ a(b: \"\"\"x".to_owned(), syntax),
        ("60 open braces", "{a".repeat(60), syntax),
        ("null byte", "{ a\0 }".to_owned(), syntax),
        (
            "null byte in a string",
            "{ agent(name: \"\0\") { name } }".to_owned(),
            syntax,
        ),
        (
            "lone surrogate escape",
            "{ agent(name: \"\\ud800\") { name } }".to_owned(),
            syntax,
        ),
        ("empty document", String::new(), syntax),
    ]
    .into_iter()
    .map(|(name, document, code)| Hostile {
        name,
        request: json!({ "query": document }).to_string().into_bytes(),
        code,
    })
    .collect()
}

/// As many as the guard lets pass; the validation finds an error in each.
fn unknown_fields(count: usize) -> String {
    let fields: String = (0..count).map(|n| format!("u{n} ")).collect();
    format!("{{ viewer {{ {fields} }} }}")
}

/// Each fragment spreads the next one several times.
fn bomb(levels: usize, times: usize, name: &str, used: bool) -> String {
    let mut document = String::from("{ viewer { ");
    if used {
        write!(document, "...{name}0 ").unwrap();
    }
    document += "owner } } ";
    for level in 0..levels {
        let spreads = format!("...{name}{} ", level + 1).repeat(times);
        write!(
            document,
            "fragment {name}{level} on Viewer {{ {spreads} }} "
        )
        .unwrap();
    }
    write!(document, "fragment {name}{levels} on Viewer {{ owner }}").unwrap();
    document
}

fn cycle(length: usize) -> String {
    let mut document = String::from("{ viewer { ...F0 } } ");
    for n in 0..length {
        let next = (n + 1) % length;
        write!(document, "fragment F{n} on Viewer {{ ...F{next} }} ").unwrap();
    }
    document
}

fn introspection(levels: usize) -> String {
    let (open, close) = ("fields { type { ".repeat(levels), "} } ".repeat(levels));
    format!("{{ __schema {{ types {{ {open} name {close} }} }} }}")
}

fn variables() -> Vec<Hostile> {
    let query = r#"{"query":"query($ids: [ID!]!) { nodes(ids: $ids) { id } }","variables":"#;
    let with = |variables: String| format!("{query}{variables}}}").into_bytes();
    let deep = |depth: usize| format!("{{\"ids\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    [
        ("variables, 100 deep", deep(100), "LIMIT_EXCEEDED"),
        ("variables, 100,000 deep", deep(100_000), "LIMIT_EXCEEDED"),
        (
            "variables, objects 100,000 deep",
            objects(100_000),
            "LIMIT_EXCEEDED",
        ),
        (
            "100,000 values in variables",
            format!("{{\"ids\":[{}1]}}", "1,".repeat(100_000)),
            "LIMIT_EXCEEDED",
        ),
        ("10,001 variables", many_variables(10_001), "LIMIT_EXCEEDED"),
        ("variables that are a list", "[1]".to_owned(), "BAD_REQUEST"),
        (
            "variables that are text",
            "\"{}\"".to_owned(),
            "BAD_REQUEST",
        ),
        (
            "variables, lone surrogate",
            r#"{"ids":["\ud800"]}"#.to_owned(),
            "BAD_REQUEST",
        ),
        (
            "number out of range",
            "{\"ids\":[1e999999]}".to_owned(),
            "BAD_REQUEST",
        ),
    ]
    .into_iter()
    .map(|(name, variables, code)| Hostile {
        name,
        request: with(variables),
        code,
    })
    .collect()
}

fn many_variables(count: usize) -> String {
    let entries: serde_json::Map<String, Value> =
        (0..count).map(|n| (format!("v{n}"), json!(1))).collect();
    Value::Object(entries).to_string()
}

/// What is no GraphQL request at all.
fn broken() -> Vec<Hostile> {
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let extension = format!(r#"{{"query":"{{a}}","extensions":{deep}}}"#);
    [
        ("malformed JSON", br#"{"query": "{ a }""#.to_vec()),
        ("a list", b"[]".to_vec()),
        ("a number", b"1".to_vec()),
        ("nothing", Vec::new()),
        (
            "malformed UTF-8",
            b"{\"query\":\"{ a \xff\xfe }\"}".to_vec(),
        ),
        (
            "lone surrogate in JSON",
            br#"{"query":"{ a \ud800 }"}"#.to_vec(),
        ),
        ("document that is a number", br#"{"query":1}"#.to_vec()),
        (
            "two documents",
            br#"{"query":"{a}","query":"{b}"}"#.to_vec(),
        ),
        (
            "operation name that is a list",
            br#"{"query":"{a}","operationName":[]}"#.to_vec(),
        ),
        ("extensions, 100,000 deep", extension.into_bytes()),
        ("JSON, 100,000 deep", deep.into_bytes()),
    ]
    .into_iter()
    .map(|(name, request)| Hostile {
        name,
        request,
        code: "BAD_REQUEST",
    })
    .collect()
}
