//! Branches whose run is asked otherwise than the one that it repeats.

use serde_json::{Value, json};

use crate::agent_tools::{agents, setup};
use crate::support::client::Client;
use crate::support::server::TestServer;
use crate::support::talk::{ended_run, string};
use crate::support::upstream::Script;

const CHAT: &str = "mutation($input: ChatInput!) { it: chat(input: $input) {
    userMessage { id } message { id } run { id } } }";
const AGAIN: &str = "mutation($input: RegenerateInput!) { it: regenerate(input: $input) {
    run { id } } }";
const INSTEAD: &str = "mutation($input: EditMessageInput!) { it: editMessage(input: $input) {
    run { id } } }";

fn tool(name: &str) -> Value {
    json!({ "name": name, "description": "Shows something to the person.",
        "parameters": { "type": "object" } })
}

fn schema(property: &str) -> Value {
    let properties = json!({ property: { "type": "string" } });
    json!({ "type": "object", "properties": properties, "required": [property],
        "additionalProperties": false })
}

fn named(tool: &str) -> Value {
    json!({ "type": "function", "function": { "name": tool } })
}

/// A question with everything that a run can be asked; its payload.
async fn asked_all(server: &TestServer) -> Value {
    let said = r#"{"capital": "Rome"}"#;
    server.upstream.then(Script::tokens([said]));
    let input = json!({ "message": { "text": "Italy" }, "clientTools": [tool("show_map")],
        "toolChoice": { "tool": "show_map" }, "outputSchema": schema("capital") });
    let variables = json!({ "input": input });
    server.client().data(CHAT, &variables).await["it"].take()
}

/// Begins a branch whose model says this; waits for its end. What the model was asked: the tools
/// beside the agent's own, its choice among them, the schema.
async fn branch(server: &TestServer, document: &str, input: Value, said: &str) -> Value {
    let (client, before) = (server.client(), server.upstream.received().len());
    server.upstream.then(Script::tokens([said]));
    let run = started(&client, document, &input).await;
    let ended = ended_run(&client, &run).await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    let request = &server.upstream.received()[before].body;
    let tools = request["tools"].as_array().unwrap();
    let names = tools.iter().map(|tool| string(&tool["function"]["name"]));
    let names: Vec<_> = names.collect();
    assert_eq!(names[..2], ["calculator", "current_time"]);
    let schema = &request["response_format"]["json_schema"]["schema"];
    json!([names[2..], request["tool_choice"], schema])
}

async fn started(client: &Client, document: &str, input: &Value) -> String {
    let data = client.data(document, &json!({ "input": input })).await;
    string(&data["it"]["run"]["id"])
}

#[tokio::test]
async fn a_branch_asks_otherwise_where_it_says_so() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let first = asked_all(&server).await;
    let (question, answer) = (&first["userMessage"]["id"], &first["message"]["id"]);
    let capital = r#"{"capital": "Rome, again"}"#;
    // What it does not say is as before, also where other branches came between.
    let same = json!([["show_map"], named("show_map"), schema("capital")]);
    let input = json!({ "messageId": answer });
    assert_eq!(branch(&server, AGAIN, input.clone(), capital).await, same);
    let plain = json!({ "messageId": answer, "toolChoice": { "mode": "NONE" },
        "clientTools": [], "outputSchema": null });
    let asked = branch(&server, AGAIN, plain, "In words.").await;
    assert_eq!(asked, json!([[], "none", null]));
    let other = json!({ "messageId": answer, "outputSchema": schema("city") });
    let asked = branch(&server, AGAIN, other, r#"{"city": "Rome"}"#).await;
    assert_eq!(
        asked,
        json!([["show_map"], named("show_map"), schema("city")])
    );
    assert_eq!(branch(&server, AGAIN, input, capital).await, same);

    let edited = json!({ "messageId": question, "message": { "text": "France" },
        "clientTools": [tool("show_globe")], "toolChoice": { "tool": "show_globe" } });
    let asked = branch(&server, INSTEAD, edited, capital).await;
    let expected = json!([["show_globe"], named("show_globe"), schema("capital")]);
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn what_a_branch_cannot_ask_is_refused_with_its_place() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let client = server.client();
    let first = asked_all(&server).await;
    let message = &first["message"]["id"];
    for (field, value, place) in [
        (
            "clientTools",
            json!([tool("show_map"), tool("calculator")]),
            "input.clientTools.1.name",
        ),
        // The tool that has to be called goes away.
        ("clientTools", json!([]), "input.toolChoice"),
        (
            "toolChoice",
            json!({ "tool": "telephone" }),
            "input.toolChoice",
        ),
        ("outputSchema", json!("string"), "input.outputSchema"),
    ] {
        let mut input = json!({ "messageId": message });
        input[field] = value;
        let error = client.error(AGAIN, &json!({ "input": input })).await;
        assert_eq!(
            error["extensions"],
            json!({ "code": "BAD_USER_INPUT", "field": place }),
            "{error}"
        );
    }
    assert_eq!(server.upstream.received().len(), 1);
}

#[tokio::test]
async fn a_key_stands_for_what_a_branch_asks() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let client = server.client();
    let first = asked_all(&server).await;
    let mut input = json!({ "messageId": first["message"]["id"], "idempotencyKey": "k",
        "toolChoice": { "mode": "NONE" } });
    let run = started(&client, AGAIN, &input).await;
    assert_eq!(started(&client, AGAIN, &input).await, run);
    for (field, other) in [
        ("toolChoice", json!({ "mode": "AUTO" })),
        ("clientTools", json!([tool("show_globe")])),
        ("outputSchema", json!(null)),
    ] {
        let before = input[field].take();
        input[field] = other;
        let error = client.error(AGAIN, &json!({ "input": input })).await;
        assert_eq!(error["extensions"]["code"], "CONFLICT", "{error}");
        input[field] = before;
        if input[field].is_null() {
            input.as_object_mut().unwrap().remove(field);
        }
    }
}
