//! Answers in a form: valid data, or an error that says so.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::process;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{check_sequences, ended_run, half_said, kinds, run, run_events, string};
use crate::support::upstream::{Script, Upstream, chunk, finish, usage};
use crate::support::wait::eventually;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } run { id status error { code message } usage { inputTokens outputTokens } }
    message { id text data parts { __typename ... on DataPart { data } } } } }";

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": { "capital": { "type": "string" } },
        "required": ["capital"],
        "additionalProperties": false,
    })
}

fn input(schema: &Value) -> Value {
    json!({ "input": { "message": { "text": "The capital of France?" }, "outputSchema": schema } })
}

async fn ask(client: &Client, variables: &Value) -> Value {
    client.data(CHAT, variables).await["chat"].take()
}

pub(crate) async fn an_answer_has_data(db: Arc<Database>) {
    let server: TestServer = Setup::new().on(&db).start().await;
    let client = server.client();
    server
        .upstream
        .then(Script::tokens(["{\"capital\": ", "\"Paris\"}"]));
    let answer = ask(&client, &input(&schema())).await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    let paris = json!({ "capital": "Paris" });
    assert_eq!(answer["message"]["data"], paris);
    assert_eq!(answer["message"]["text"], "{\"capital\": \"Paris\"}");
    let parts = answer["message"]["parts"].as_array().unwrap();
    assert_eq!(parts[1], json!({ "__typename": "DataPart", "data": paris }));
    let asked = &server.upstream.received()[0].body["response_format"];
    assert_eq!(
        asked,
        &json!({ "type": "json_schema",
            "json_schema": { "name": "answer", "schema": schema(), "strict": true } })
    );
    // What was streamed is what is stored.
    let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
    check_sequences(&log);
    let added = log
        .iter()
        .find(|one| one["__typename"] == "DataAdded")
        .unwrap();
    assert_eq!(added["data"], paris);
    assert_eq!(added["message"]["data"], paris);
    // It is not said to the model twice, and the next answer has no form.
    let next = json!({ "input": { "sessionId": answer["session"]["id"],
        "message": { "text": "And?" } } });
    let next = ask(&client, &next).await;
    assert_eq!(next["message"]["data"], Value::Null);
    let asked = &server.upstream.received()[1].body;
    assert_eq!(asked["messages"].as_array().unwrap().len(), 4);
    assert_eq!(asked["messages"][2]["content"], "{\"capital\": \"Paris\"}");
    assert_eq!(asked["response_format"], Value::Null);
}

pub(crate) async fn an_invalid_answer_is_made_anew(db: Arc<Database>) {
    let server: TestServer = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(Script::tokens(["{\"capital\": 7}"]));
    server
        .upstream
        .then(Script::tokens(["{\"capital\": \"Paris\"}"]));
    let answer = ask(&client, &input(&schema())).await;
    assert_eq!(
        answer["message"]["data"],
        json!({ "capital": "Paris" }),
        "{answer}"
    );
    assert_eq!(answer["message"]["text"], "{\"capital\": \"Paris\"}");
    let asked = &server.upstream.received()[1].body["messages"];
    assert_eq!(
        asked[2],
        json!({ "role": "assistant", "content": "{\"capital\": 7}" })
    );
    let told = string(&asked[3]["content"]);
    assert!(
        told.contains("/capital: the value is not of type \"string\""),
        "{told}"
    );
    let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
    let purposes: Vec<_> = log
        .iter()
        .filter(|event| event["__typename"] == "StepStarted")
        .map(|event| string(&event["purpose"]))
        .collect();
    assert_eq!(purposes, ["ANSWER", "REPAIR"]);
    let texts: Vec<_> = log
        .iter()
        .filter(|event| event["__typename"] == "TextDelta")
        .map(|event| string(&event["message"]["text"]))
        .collect();
    assert_eq!(texts, ["{\"capital\": 7}", "{\"capital\": \"Paris\"}"]);
    let used = &answer["run"]["usage"];
    let last = log
        .iter()
        .rfind(|one| one["__typename"] == "UsageUpdated")
        .unwrap();
    assert_eq!(&last["usage"], used);
}

#[tokio::test]
async fn an_answer_that_stays_invalid_fails_the_run() {
    let server = Setup::new().set("runs.output_repairs", 1).start().await;
    let client = server.client();
    server.upstream.then(Script::tokens(["Paris."]));
    server.upstream.then(Script::tokens(["Really, Paris."]));
    let answer = ask(&client, &input(&schema())).await;
    assert_eq!(answer["run"]["status"], "FAILED");
    let error = &answer["run"]["error"];
    assert_eq!(error["code"], "OUTPUT_INVALID");
    assert!(string(&error["message"]).contains("not JSON"), "{error}");
    assert_eq!(answer["message"]["data"], Value::Null);
    assert_eq!(answer["message"]["text"], "Really, Paris.");
    assert_eq!(server.upstream.received().len(), 2);
}

#[tokio::test]
async fn a_schema_is_checked_before_anything_starts() {
    let server = TestServer::start().await;
    let client = server.client();
    for (schema, why) in [
        (
            json!({ "type": "object", "properties": 7 }),
            "not a usable JSON Schema",
        ),
        (
            json!({ "type": "object", "$ref": "https://example.com/x" }),
            "not a usable JSON Schema",
        ),
        (json!({ "type": "object", "title": "\0" }), "U+0000"),
        (
            json!({ "type": "object", "description": "x".repeat(66_000) }),
            "at most 65536",
        ),
        (json!(7), "a JSON object"),
    ] {
        let refused = client.error(CHAT, &input(&schema)).await;
        assert_eq!(refused["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
        assert_eq!(refused["extensions"]["field"], "input.outputSchema");
        assert!(string(&refused["message"]).contains(why), "{refused}");
    }
    assert_eq!(server.upstream.received().len(), 0);
}

fn agents() -> TempDir {
    let folder = TempDir::new().unwrap();
    let toml = "name = \"formal\"\ndescription = \"d\"\ninstructions = \"i\"\n\
        tools = [\"calculator\", \"current_time\"]\n[output_schema]\ntype = \"object\"\n\
        required = [\"sum\"]\nproperties = { sum = { type = \"integer\" } }\n";
    std::fs::write(folder.path().join("formal.toml"), toml).unwrap();
    folder
}

fn formal(folder: &TempDir) -> Setup {
    Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "formal")
}

fn calculates() -> Script {
    let call = json!({ "index": 0, "id": "call_0", "type": "function",
        "function": { "name": "calculator", "arguments": "{\"expression\": \"6*7\"}" } });
    Script::stream()
        .event(chunk(&json!({ "tool_calls": [call] })))
        .event(finish("tool_calls"))
        .event(usage(7, 3))
        .event("[DONE]")
}

#[tokio::test]
async fn tools_come_before_the_form() {
    let folder = agents();
    let server = formal(&folder).start().await;
    let client = server.client();
    for choice in [
        json!({ "mode": "REQUIRED" }),
        json!({ "tool": "calculator" }),
    ] {
        server.upstream.then(calculates());
        server.upstream.then(Script::tokens(["{\"sum\": 42}"]));
        let variables = json!({ "input": { "message": { "text": "6*7?" }, "toolChoice": choice } });
        let answer = ask(&client, &variables).await;
        assert_eq!(answer["message"]["data"], json!({ "sum": 42 }), "{answer}");
    }
    let received = server.upstream.received();
    let asked = |call: usize| received[call].body["tool_choice"].clone();
    assert_eq!((asked(0), asked(1)), (json!("required"), Value::Null));
    let named = json!({ "type": "function", "function": { "name": "calculator" } });
    assert_eq!((asked(2), asked(3)), (named, Value::Null));
    for request in &received {
        assert_eq!(request.body["response_format"]["type"], "json_schema");
    }
}

#[tokio::test]
async fn tools_are_not_called_where_they_must_not() {
    let folder = agents();
    let server = formal(&folder).start().await;
    let client = server.client();
    server.upstream.then(Script::tokens(["{\"sum\": 1}"]));
    let none = json!({ "input": { "message": { "text": "?" }, "toolChoice": { "mode": "NONE" } } });
    ask(&client, &none).await;
    assert_eq!(server.upstream.received()[0].body["tool_choice"], "none");
    let telephone = json!({ "input": { "message": { "text": "?" },
        "toolChoice": { "tool": "telephone" } } });
    let refused = client.error(CHAT, &telephone).await;
    assert_eq!(refused["extensions"]["field"], "input.toolChoice");
    assert_eq!(
        refused["message"],
        "agent \"formal\" has no tool \"telephone\""
    );
}

/// Whoever goes on with a run asks the same of it, and of a repair as well.
#[tokio::test]
async fn the_form_survives_a_restart() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut killed = process(&home, &upstream, &[]).await;
    upstream.then(Script::tokens(["{\"capital\": 7}"]));
    upstream.then(half_said());
    let send = "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }";
    let sent = killed.client().data(send, &input(&schema())).await;
    let id = string(&sent["sendMessage"]["run"]["id"]);
    upstream.wait_holding(1).await;
    eventually("the repair's first words", async || {
        let output = run(&killed.client(), &id).await["output"].take();
        (output["text"] == "one two ").then_some(())
    })
    .await;
    killed.kill();
    killed.exit_code().await;

    upstream.then(Script::tokens(["{\"capital\": \"Paris\"}"]));
    let next = process(&home, &upstream, &[]).await;
    let client = next.client();
    let ended = ended_run(&client, &id).await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    assert_eq!(ended["output"]["text"], "{\"capital\": \"Paris\"}");
    let read = "query($id: ID!) { run(id: $id) { output { data } } }";
    let data = client.data(read, &json!({ "id": id })).await;
    assert_eq!(data["run"]["output"]["data"], json!({ "capital": "Paris" }));
    let received = upstream.received();
    let (before, after) = (&received[1].body, &received[2].body);
    assert_eq!(before["messages"], after["messages"]);
    assert_eq!(before["response_format"], after["response_format"]);
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    assert_eq!(
        kinds(&log)
            .iter()
            .filter(|kind| *kind == "StepRestarted")
            .count(),
        1
    );
}

/// Who has something answered again asks for the same form.
#[tokio::test]
async fn an_answer_made_again_has_the_same_form() {
    let server = TestServer::start().await;
    let client = server.client();
    server
        .upstream
        .then(Script::tokens(["{\"capital\": \"Rome\"}"]));
    let first = ask(&client, &input(&schema())).await;
    server
        .upstream
        .then(Script::tokens(["{\"capital\": \"Paris\"}"]));
    let again = "mutation($id: ID!) { regenerate(input: { messageId: $id }) { run { id } } }";
    let sent = client
        .data(again, &json!({ "id": first["message"]["id"] }))
        .await;
    let run = ended_run(&client, &string(&sent["regenerate"]["run"]["id"])).await;
    assert_eq!(run["status"], "COMPLETED", "{run}");
    let asked = &server.upstream.received()[1].body["response_format"];
    assert_eq!(asked["json_schema"]["schema"], schema());
}
