//! Questions that an MCP server asks the person during a call.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call, called};
use crate::interrupts::{refusal, told};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer, repository};
use crate::support::talk::{cancel, ended_run, kinds, run_events, send, string};
use crate::support::upstream::Script;
use crate::support::wait::eventually;
use crate::tools::output;

const RESOLVE: &str =
    "mutation($input: ResolveInterruptsInput!) { resolveInterrupts(input: $input) {
    run { status } interrupts { id resolution { kind content } } } }";

fn setup(folder: &TempDir, server: &str) -> Setup {
    let toml = "name = \"handy\"\ndescription = \"Has tools.\"\ninstructions = \"Use them.\"\n\
        tools = [\"asking__name\", \"asking__sign\", \"asking__trigger-elicitation-request\"]\n";
    std::fs::write(folder.path().join("handy.toml"), toml).unwrap();
    let script = repository(server);
    let settings = format!(
        "[[tools.mcp]]\nname = \"asking\"\ncommand = \"node\"\nargs = [\"{script}\"]\n\
         timeout_ms = 2_000\n"
    );
    Setup::new()
        .file(&settings)
        .set("agents.folder", folder.path().display())
        .set("agents.default", "handy")
}

fn calls(tool: &str) -> Script {
    called(call(Script::stream(), 0, tool, "{}"))
}

/// The open question of a run.
pub(crate) async fn question(client: &Client, run: &str) -> Value {
    let document = "query($id: ID!) { run(id: $id) { status interrupts { __typename id toolName
        toolCallId arguments ... on InputRequest { message requestedSchema url } } } }";
    eventually("a question", async || {
        let mut data = client.data(document, &json!({ "id": run })).await;
        let run = data["run"].take();
        let first = run["interrupts"].get(0)?.clone();
        assert_eq!(run["status"], "RUNNING", "{run}");
        Some(first)
    })
    .await
}

pub(crate) async fn answer(
    client: &Client,
    run: &str,
    asked: &Value,
    action: &str,
    content: Value,
) -> Value {
    let answer = json!({ "interruptId": asked["id"], "action": action, "content": content });
    let input = json!({ "input": { "runId": run, "resolutions": [{ "answer": answer }] } });
    let mut data = client.data(RESOLVE, &input).await;
    data["resolveInterrupts"]["interrupts"][0]["resolution"].take()
}

pub(crate) async fn a_question_is_answered_during_the_call(db: Arc<Database>) {
    let folder = TempDir::new().unwrap();
    let server: TestServer = setup(&folder, "tests/mcp/asking.mjs").on(&db).start().await;
    let client = server.client();
    server.upstream.then(calls("asking__name"));
    let (_, run) = send(&client, None, "Who am I?").await;
    let asked = question(&client, &run).await;
    assert_eq!(asked["__typename"], "InputRequest");
    assert_eq!(asked["toolName"], "asking__name");
    assert_eq!(asked["message"], "What is your name?");
    assert_eq!(asked["requestedSchema"]["required"], json!(["name"]));
    assert_eq!(asked["url"], Value::Null);

    // The content is checked, and an answer of another kind is none.
    let wrong =
        json!({ "interruptId": asked["id"], "action": "ACCEPT", "content": { "name": "x" } });
    let refused = refusal(&client, &run, json!([{ "answer": wrong }])).await;
    assert_eq!(refused, "BAD_USER_INPUT input.resolutions.0.answer.content");
    let approve = json!([{ "approve": { "interruptId": asked["id"] } }]);
    let refused = refusal(&client, &run, approve).await;
    assert_eq!(refused, "BAD_USER_INPUT input.resolutions.0.approve");

    let content = json!({ "name": "Ada" });
    let resolution = answer(&client, &run, &asked, "ACCEPT", content.clone()).await;
    assert_eq!(
        resolution,
        json!({ "kind": "ACCEPTED", "content": content })
    );
    // The same answer again changes nothing.
    let again = answer(&client, &run, &asked, "ACCEPT", content.clone()).await;
    assert_eq!(again, resolution);
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    assert_eq!(told(&server.upstream, 1), ["accept: {\"name\":\"Ada\"}"]);
    let log = kinds(&run_events(&client, &run, 0).await);
    let place = |kind: &str| log.iter().position(|one| one == kind).unwrap();
    assert!(place("InterruptRequested") < place("InterruptResolved"));
    assert!(
        place("InterruptResolved") < place("RunCompleted"),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_question_may_be_declined_dismissed_and_opened() {
    let folder = TempDir::new().unwrap();
    let server = setup(&folder, "tests/mcp/asking.mjs").start().await;
    let client = server.client();
    for (tool, action, result) in [
        ("asking__name", "DECLINE", "decline: null"),
        ("asking__name", "DISMISS", "cancel: null"),
        ("asking__sign", "ACCEPT", "accept: {}"),
    ] {
        server.upstream.then(calls(tool));
        let before = server.upstream.received().len();
        let (_, run) = send(&client, None, "Go").await;
        let asked = question(&client, &run).await;
        if tool == "asking__sign" {
            assert_eq!(asked["url"], "https://sign.example/42");
            assert_eq!(asked["requestedSchema"], Value::Null);
        }
        answer(&client, &run, &asked, action, Value::Null).await;
        assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
        assert_eq!(told(&server.upstream, before + 1), [result], "{action}");
    }
}

/// The time of the tool stands still, that of the question does not; a stopped run leaves no open
/// question.
#[tokio::test]
async fn a_question_ends() {
    let folder = TempDir::new().unwrap();
    let setup = setup(&folder, "tests/mcp/asking.mjs");
    let server = setup.set("tools.input_timeout_s", 4).start().await;
    let client = server.client();
    server.upstream.then(calls("asking__name"));
    let (_, run) = send(&client, None, "Nobody answers").await;
    let asked = question(&client, &run).await;
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    // Longer than the tool's two seconds.
    assert_eq!(told(&server.upstream, 1), ["cancel: null"]);
    let late = json!({ "interruptId": asked["id"], "action": "DECLINE" });
    let refused = refusal(&client, &run, json!([{ "answer": late }])).await;
    assert_eq!(refused, "CONFLICT input.resolutions.0.answer.interruptId");

    server.upstream.then(calls("asking__name"));
    let (_, run) = send(&client, None, "Stop").await;
    question(&client, &run).await;
    cancel(&client, &run).await;
    let document = "{ interrupts(first: 5) { nodes { id } } }";
    let data = client.data(document, &json!({})).await;
    assert_eq!(data["interrupts"]["nodes"], json!([]), "{data}");
}

#[tokio::test]
async fn a_call_without_a_person_is_declined() {
    let folder = TempDir::new().unwrap();
    let server = setup(&folder, "tests/mcp/asking.mjs").start().await;
    let text = output(&server.client(), "asking__name", json!({})).await;
    assert_eq!(text, "decline: null");
}

/// The example server of the protocol's own people.
#[tokio::test]
async fn the_example_server_is_answered() {
    let folder = TempDir::new().unwrap();
    let everything = "tests/mcp/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let server = setup(&folder, everything).start().await;
    let client = server.client();
    server
        .upstream
        .then(calls("asking__trigger-elicitation-request"));
    let (_, run) = send(&client, None, "Ask me").await;
    let asked = question(&client, &run).await;
    assert!(
        asked["requestedSchema"]["properties"]["name"].is_object(),
        "{asked}"
    );
    let content = json!({ "name": "Ada Lovelace" });
    answer(&client, &run, &asked, "ACCEPT", content).await;
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    let result = told(&server.upstream, 1).remove(0);
    assert!(string(&json!(result)).contains("Ada Lovelace"), "{result}");
}
