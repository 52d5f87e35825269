//! JSON Schemas of tool servers and clients that models' providers, or strict readers, refuse.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call, called};
use crate::support::client::Client;
use crate::support::server::{Setup, TestServer, repository};
use crate::support::upstream::{Script, Upstream};
use crate::tools;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    run { status error { code message } } message { text data } } }";

/// A server with a tool server that lists these schemas, and an agent that may use the tools.
async fn with_schemas(schemas: &[Value]) -> (TestServer, TempDir) {
    let listed: Vec<_> = schemas
        .iter()
        .enumerate()
        .map(|(at, schema)| {
            json!({ "name": format!("t{at}"), "description": "d", "inputSchema": schema })
        })
        .collect();
    let names: Vec<_> = (0..schemas.len())
        .map(|at| format!("\"odd__t{at}\""))
        .collect();
    let folder = TempDir::new().unwrap();
    let toml = format!(
        "name = \"odd\"\ndescription = \"d\"\ninstructions = \"i\"\ntools = [{}]\n",
        names.join(", ")
    );
    std::fs::write(folder.path().join("odd.toml"), toml).unwrap();
    let settings = format!(
        "[[tools.mcp]]\nname = \"odd\"\ncommand = \"node\"\nargs = [\"{}\", '''{}''']\n",
        repository("tests/mcp/listed.mjs"),
        json!(listed),
    );
    let server = Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "odd")
        .file(&settings)
        .start()
        .await;
    (server, folder)
}

async fn say(client: &Client, input: Value) -> Value {
    client.data(CHAT, &json!({ "input": input })).await["chat"].take()
}

fn parameters(upstream: &Upstream) -> Vec<Value> {
    let body = &upstream.received()[0].body;
    let tools = body["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["function"]["parameters"].clone())
        .collect()
}

#[tokio::test]
async fn odd_tools_are_offered_and_their_arguments_checked() {
    let defs = json!({ "place": { "type": "object", "properties": { "city": { "type": "string" } },
        "required": ["city"] } });
    let schemas = [
        json!({ "type": "object" }),
        json!({}),
        json!({ "$schema": "https://example.com/dialect", "type": "object",
            "properties": { "n": { "type": "integer" } } }),
        json!({ "$ref": "#/$defs/place", "$defs": defs }),
        json!({ "type": "object", "properties": { "at": { "$ref": "#/$defs/place" } }, "$defs": defs }),
        json!({ "anyOf": [
            { "type": "object", "properties": { "id": { "type": "integer" } }, "required": ["id"] },
            { "type": "object", "properties": { "url": { "type": "string" } }, "required": ["url"] },
        ] }),
        json!({ "type": "object", "properties": { "re": { "type": "string", "pattern": "(?P<n>[" } } }),
        json!({ "type": "object", "properties": { "any": { "type": "any" }, "n": { "type": "integer" } } }),
    ];
    let (server, _folder) = with_schemas(&schemas).await;
    let client = server.client();
    server.upstream.then(Script::tokens(["Hi"]));
    let said = say(&client, json!({ "message": { "text": "?" } })).await;
    assert_eq!(said["run"]["status"], "COMPLETED", "{said}");
    let sent = parameters(&server.upstream);
    assert_eq!(sent.len(), schemas.len(), "{sent:#?}");
    for schema in &sent {
        assert_eq!(schema["type"], "object", "{schema}");
        assert!(schema["properties"].is_object(), "{schema}");
        for keyword in ["$schema", "$ref", "anyOf", "$defs"] {
            assert_eq!(schema.get(keyword), None, "{schema}");
        }
    }
    assert_eq!(
        sent[4]["properties"]["at"]["properties"]["city"]["type"],
        "string"
    );
    assert_eq!(sent[6]["properties"]["re"].get("pattern"), None);
    // What can be read of a schema is checked.
    for (name, wrong, right) in [
        ("odd__t2", json!({ "n": "x" }), json!({ "n": 1 })),
        ("odd__t3", json!({}), json!({ "city": "Bern" })),
        (
            "odd__t4",
            json!({ "at": {} }),
            json!({ "at": { "city": "Bern" } }),
        ),
        ("odd__t5", json!({}), json!({ "url": "x" })),
        ("odd__t6", json!({ "re": 7 }), json!({ "re": "x" })),
        ("odd__t7", json!({ "n": "x" }), json!({ "n": 1, "any": [] })),
    ] {
        let input = json!({ "input": { "name": name, "arguments": wrong } });
        let refused = client.error(tools::CALL, &input).await;
        assert_eq!(
            refused["extensions"]["field"], "input.arguments",
            "{name} {refused}"
        );
        let called = tools::call(&client, name, right.clone()).await;
        let text = called["output"]["text"].as_str().unwrap_or_default();
        assert_eq!(
            serde_json::from_str::<Value>(text).ok(),
            Some(right),
            "{called}"
        );
    }
}

#[tokio::test]
async fn a_null_for_an_optional_argument_is_none() {
    let schema = json!({ "type": "object", "required": ["city"], "properties": {
        "city": { "type": "string" }, "unit": { "type": "string" },
        "day": { "type": ["string", "null"] } } });
    let (server, _folder) = with_schemas(&[schema]).await;
    let arguments = r#"{"city":"Bern","unit":null,"day":null}"#;
    server
        .upstream
        .then(called(call(Script::stream(), 0, "odd__t0", arguments)));
    server.upstream.then(Script::tokens(["It is cold."]));
    let said = say(&server.client(), json!({ "message": { "text": "?" } })).await;
    assert_eq!(said["run"]["status"], "COMPLETED", "{said}");
    let messages = server.upstream.received()[1].body["messages"].clone();
    let result = messages.as_array().unwrap().last().unwrap();
    assert_eq!(result["content"], r#"{"city":"Bern","day":null}"#);
}

#[tokio::test]
async fn an_answer_may_be_a_list_and_optional_properties_null() {
    let server = TestServer::start().await;
    let client = server.client();
    let schema = json!({ "type": "array", "items": { "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "born": { "type": "integer", "minimum": 1 } } } });
    let answer = r#"{"answer":[{"name":"Ada","born":1815},{"name":"Bea","born":null}]}"#;
    server.upstream.then(Script::tokens([answer]));
    let said = say(
        &client,
        json!({ "message": { "text": "?" }, "outputSchema": schema }),
    )
    .await;
    assert_eq!(said["run"]["status"], "COMPLETED", "{said}");
    assert_eq!(
        said["message"]["data"],
        json!([{ "name": "Ada", "born": 1815 }, { "name": "Bea" }])
    );
    let format = server.upstream.received()[0].body["response_format"]["json_schema"].clone();
    assert_eq!(format["strict"], true);
    let item = &format["schema"]["properties"]["answer"]["items"];
    assert_eq!(item["required"], json!(["name", "born"]));
    assert_eq!(
        item["properties"]["born"]["type"],
        json!(["integer", "null"])
    );
    assert_eq!(item["properties"]["born"]["description"], "minimum: 1");
    // The full schema still counts.
    server
        .upstream
        .then(Script::tokens([r#"{"answer":[{"name":"Ada","born":0}]}"#]));
    server
        .upstream
        .then(Script::tokens([r#"[{"name":"Ada","born":7}]"#]));
    let said = say(
        &client,
        json!({ "message": { "text": "?" }, "outputSchema": schema }),
    )
    .await;
    assert_eq!(
        said["message"]["data"],
        json!([{ "name": "Ada", "born": 7 }]),
        "{said}"
    );
    assert_eq!(server.upstream.received().len(), 3);
}
