//! Tools that the client has.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::agent_tools::{agents, call, called, setup};
use crate::interrupts::{resolve, told, waits};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::TestServer;
use crate::support::talk::{SEND, ended_run, input, run, string};
use crate::support::upstream::Script;

/// A start with a tool that shows something on the client's screen.
fn with_tools(text: &str) -> Value {
    let mut variables = input(None, text);
    variables["input"]["clientTools"] = json!([{
        "name": "show_map",
        "description": "Shows a map of a city to the person.",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } },
            "required": ["city"] },
    }]);
    variables
}

async fn ask(client: &Client) -> String {
    let data = client.data(SEND, &with_tools("Show me Bern")).await;
    string(&data["sendMessage"]["run"]["id"])
}

fn shows(arguments: &str) -> Script {
    called(call(Script::stream(), 0, "show_map", arguments))
}

pub(crate) async fn the_client_makes_its_own_calls(db: Arc<Database>) {
    let folder = agents("");
    let server = setup(&folder)
        .set("tools.output_bytes", 100)
        .on(&db)
        .start()
        .await;
    let client = server.client();
    let contents = [
        (json!({ "text": "shown" }), "shown"),
        (json!({ "json": { "zoom": 12 } }), "{\"zoom\":12}"),
        (json!({ "json": null }), "null"),
        (json!({ "text": "no map", "isError": true }), "no map"),
    ];
    for (content, expected) in contents {
        server.upstream.then(shows("{\"city\": \"Bern\"}"));
        server.upstream.then(Script::tokens(["There it is."]));
        let id = ask(&client).await;
        let open = waits(&client, &id).await;
        assert_eq!(open[0]["__typename"], "ClientToolCall");
        assert_eq!(open[0]["toolName"], "show_map");
        assert_eq!(open[0]["arguments"], json!({ "city": "Bern" }));
        let mut result = content.clone();
        result["interruptId"] = open[0]["id"].clone();
        let resolved = resolve(&client, &id, json!([{ "result": result }])).await;
        let stored = &resolved["interrupts"][0]["resolution"]["result"];
        assert_eq!(stored["text"], expected);
        assert_eq!(stored["isError"], content["isError"] == true);
        assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
        let calls = server.upstream.received().len();
        assert_eq!(told(&server.upstream, calls - 1), [expected]);
    }
    // It was told of the tool beside the agent's own, in each step.
    for request in server.upstream.received() {
        let tools = request.body["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| &tool["function"]["name"]).collect();
        assert_eq!(names, ["calculator", "current_time", "show_map"]);
    }
    // What is too long is cut, and the same answer is the same answer still.
    server.upstream.then(shows("{\"city\": \"Bern\"}"));
    let id = ask(&client).await;
    let open = waits(&client, &id).await;
    let long = json!([{ "result": { "interruptId": open[0]["id"], "text": "x".repeat(500) } }]);
    for _ in 0..2 {
        let resolved = resolve(&client, &id, long.clone()).await;
        let stored = &resolved["interrupts"][0]["resolution"]["result"];
        assert_eq!(stored["truncated"], true);
        assert!(string(&stored["text"]).len() <= 100);
    }
}

pub(crate) async fn a_result_comes_after_a_restart(db: Arc<Database>) {
    let folder = agents("");
    let first = setup(&folder).on(&db).start().await;
    first.upstream.then(shows("{\"city\": \"Bern\"}"));
    let id = ask(&first.client()).await;
    let open = waits(&first.client(), &id).await;
    first.stop().await;

    let second = setup(&folder).on(&db).start().await;
    let client = second.client();
    // The next step can call it once more.
    second.upstream.then(shows("{\"city\": \"Basel\"}"));
    second.upstream.then(Script::tokens(["Two maps."]));
    let result = json!([{ "result": { "interruptId": open[0]["id"], "text": "shown" } }]);
    resolve(&client, &id, result.clone()).await;
    let next = waits(&client, &id).await;
    assert_eq!(next[0]["arguments"], json!({ "city": "Basel" }));
    let rejected = json!([{ "reject": { "interruptId": next[0]["id"] } }]);
    resolve(&client, &id, rejected).await;
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    assert_eq!(told(&second.upstream, 0), ["shown"]);
    assert!(told(&second.upstream, 1)[1].contains("rejected"));
    // The same answer to the first, long after.
    let again = resolve(&client, &id, result).await;
    assert_eq!(again["run"]["status"], "COMPLETED");
}

pub(crate) async fn wrong_arguments_go_back_to_the_model(db: Arc<Database>) {
    let folder = agents("");
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(shows("{\"town\": \"Bern\"}"));
    server.upstream.then(shows("{\"city\": "));
    server.upstream.then(shows("{\"city\": \"Bern\"}"));
    let id = ask(&client).await;
    let open = waits(&client, &id).await;
    assert_eq!(open.len(), 1, "the client is asked only what it can do");
    assert!(told(&server.upstream, 1)[0].contains("\"city\" is a required property"));
    assert!(told(&server.upstream, 2)[1].contains("not JSON"));
    assert_eq!(run(&client, &id).await["status"], "AWAITING_INPUT");
}

/// What must be called may be the client's; after its result the model may answer.
pub(crate) async fn a_client_tool_may_have_to_be_called(db: Arc<Database>) {
    let folder = agents("");
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    let named = json!({ "type": "function", "function": { "name": "show_map" } });
    let choices = [
        (json!({ "tool": "show_map" }), named),
        (json!({ "mode": "REQUIRED" }), json!("required")),
    ];
    for (choice, expected) in choices {
        let before = server.upstream.received().len();
        let mut variables = with_tools("Show me Bern");
        variables["input"]["toolChoice"] = choice;
        server.upstream.then(shows("{\"city\": \"Bern\"}"));
        server.upstream.then(Script::tokens(["There it is."]));
        let data = client.data(SEND, &variables).await;
        let id = string(&data["sendMessage"]["run"]["id"]);
        let open = waits(&client, &id).await;
        let result = json!({ "interruptId": open[0]["id"], "text": "shown" });
        resolve(&client, &id, json!([{ "result": result }])).await;
        assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
        let received = server.upstream.received();
        let asked = |call: usize| received[before + call].body["tool_choice"].clone();
        assert_eq!((asked(0), asked(1)), (expected, Value::Null));
    }
    // Without them there is no such tool.
    let mut variables = input(None, "Show me Bern");
    variables["input"]["toolChoice"] = json!({ "tool": "show_map" });
    let error = client.error(SEND, &variables).await;
    assert_eq!(error["extensions"]["field"], "input.toolChoice", "{error}");
}

/// An agent without tools of its own can be told to call the client's.
#[tokio::test]
async fn an_agent_without_tools_calls_the_clients() {
    let server = TestServer::start().await;
    let client = server.client();
    let document = "mutation($input: CreateAgentInput!) { createAgent(input: $input) {
        agent { id } } }";
    let bare = json!({ "name": "bare", "description": "Has nothing.", "instructions": "Answer." });
    client.data(document, &json!({ "input": bare })).await;
    let mut variables = with_tools("Show me Bern");
    variables["input"]["agent"] = json!("bare");
    variables["input"]["toolChoice"] = json!({ "mode": "REQUIRED" });
    server.upstream.then(shows("{\"city\": \"Bern\"}"));
    let data = client.data(SEND, &variables).await;
    let id = string(&data["sendMessage"]["run"]["id"]);
    assert_eq!(waits(&client, &id).await[0]["toolName"], "show_map");
    assert_eq!(
        server.upstream.received()[0].body["tool_choice"],
        "required"
    );
    variables["input"]["clientTools"] = json!([]);
    let error = client.error(SEND, &variables).await;
    assert_eq!(error["extensions"]["field"], "input.toolChoice", "{error}");
}

#[tokio::test]
async fn wrong_tools_are_refused_with_their_place() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let client = server.client();
    let good = with_tools("Hello")["input"]["clientTools"][0].clone();
    let with = |field: &str, value: Value| {
        let mut tool = good.clone();
        tool[field] = value;
        json!([good, tool])
    };
    let schema = |schema: Value| {
        let mut tools = with("name", "other".into());
        tools[1]["parameters"] = schema;
        tools
    };
    let many: Vec<_> = (0..33)
        .map(|number| with("name", format!("tool_{number}").into())[1].clone())
        .collect();
    let mut blank = with("name", "other".into());
    blank[1]["description"] = " ".into();
    let mut large = with("name", "other".into());
    large[1]["description"] = "x".repeat(70_000).into();
    for (tools, field) in [
        (with("name", "show map".into()), "input.clientTools.1.name"),
        (
            with("name", "calculator".into()),
            "input.clientTools.1.name",
        ),
        (with("name", "show_map".into()), "input.clientTools.1.name"),
        (
            schema(json!({ "type": "string" })),
            "input.clientTools.1.parameters",
        ),
        (
            schema(json!({ "type": "object", "properties": 1 })),
            "input.clientTools.1.parameters",
        ),
        (blank, "input.clientTools.1.description"),
        (large, "input.clientTools"),
        (json!(many), "input.clientTools"),
    ] {
        let mut variables = input(None, "Hello");
        variables["input"]["clientTools"] = tools;
        let error = client.error(SEND, &variables).await;
        assert_eq!(
            error["extensions"],
            json!({ "code": "BAD_USER_INPUT", "field": field }),
            "{error}"
        );
    }
    assert_eq!(server.upstream.received().len(), 0);
}
