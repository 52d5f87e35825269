//! Agents that call tools: model, tools, model, until there is an answer.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::process;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    all, chat, check_sequences, ended_run, half_said, run, run_events, send, string,
};
use crate::support::upstream::{Script, Upstream, chunk, finish, usage};
use crate::support::wait::eventually;

pub(crate) const PARTS: &str =
    "query($id: ID!) { run(id: $id) { status usage { inputTokens outputTokens }
    error { code message } output { text parts { __typename
      ... on TextPart { text } ... on ToolCallPart { toolCallId name arguments }
      ... on ToolResultPart { toolCallId text isError truncated } } } } }";

/// A folder with one agent that has tools.
pub(crate) fn agents(limits: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let toml = format!(
        "name = \"handy\"\ndescription = \"Has tools.\"\ninstructions = \"Use them.\"\n\
         tools = [\"calculator\", \"current_time\"]\n[limits]\n{limits}"
    );
    std::fs::write(folder.path().join("handy.toml"), toml).unwrap();
    folder
}

pub(crate) fn setup(folder: &TempDir) -> Setup {
    Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "handy")
}

/// The chunks of a call, its arguments in two pieces.
pub(crate) fn call(script: Script, index: u32, name: &str, arguments: &str) -> Script {
    let (first, second) = arguments.split_at(arguments.len() / 2);
    let piece = |arguments: &str| json!({ "index": index, "function": { "arguments": arguments } });
    let begun = json!({ "index": index, "id": format!("call_{index}"), "type": "function",
        "function": { "name": name, "arguments": "" } });
    [begun, piece(first), piece(second)]
        .into_iter()
        .fold(script, |script, call| {
            script.event(chunk(&json!({ "tool_calls": [call] })))
        })
}

pub(crate) fn called(script: Script) -> Script {
    script
        .event(finish("tool_calls"))
        .event(usage(7, 3))
        .event("[DONE]")
}

/// An answer that calls the calculator.
pub(crate) fn calculates(arguments: &str) -> Script {
    called(call(Script::stream(), 0, "calculator", arguments))
}

pub(crate) fn shown(server: &Upstream, call: usize) -> Vec<Value> {
    server.received()[call].body["messages"]
        .as_array()
        .unwrap()
        .clone()
}

pub(crate) async fn tools_are_called_until_there_is_an_answer(db: Arc<Database>) {
    let folder = agents("");
    let server: TestServer = setup(&folder).on(&db).start().await;
    let client = server.client();
    let script = Script::stream().text(["Let me ", "see."]);
    let script = call(script, 0, "calculator", "{\"expression\": \"6*7\"}");
    let script = call(script, 1, "calculator", "{\"expression\": \"1+1\"}");
    server.upstream.then(called(script));
    server.upstream.then(Script::tokens(["42 ", "and 2."]));

    let answer = chat(&client, None, "What is 6 times 7, and 1 plus 1?").await;

    let id = string(&answer["run"]["id"]);
    assert_eq!(answer["message"]["text"], "Let me see.42 and 2.");
    let mut data = client.data(PARTS, &json!({ "id": id })).await;
    let run = data["run"].take();
    assert_eq!(
        run["usage"],
        json!({ "inputTokens": 14, "outputTokens": 6 })
    );
    let parts = run["output"]["parts"].as_array().unwrap();
    let kinds = all(parts, "__typename");
    assert_eq!(
        kinds,
        [
            "TextPart",
            "ToolCallPart",
            "ToolCallPart",
            "ToolResultPart",
            "ToolResultPart",
            "TextPart"
        ]
    );
    let result_of = |call: &Value| {
        let is_its = |part: &&Value| part["text"] != Value::Null && part["toolCallId"] == *call;
        parts.iter().find(is_its).unwrap().clone()
    };
    for (part, result) in [(&parts[1], "42"), (&parts[2], "2")] {
        let told = result_of(&part["toolCallId"]);
        assert_eq!(
            (&told["text"], &told["isError"]),
            (&json!(result), &json!(false))
        );
    }

    check_events(&run_events(&client, &id, 0).await, parts);
    check_prompts(&server.upstream);
    let session = string(&answer["session"]["id"]);
    chat(&client, Some(&session), "Thanks").await;
    let expected = [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ];
    assert_eq!(roles(&server.upstream, 2), expected);
}

fn roles(server: &Upstream, call: usize) -> Vec<String> {
    let messages = shown(server, call);
    messages
        .iter()
        .map(|message| string(&message["role"]))
        .collect()
}

/// The events tell the same as the parts, in the same order.
fn check_events(log: &[Value], parts: &[Value]) {
    check_sequences(log);
    let kinds: Vec<_> = log
        .iter()
        .map(|event| string(&event["__typename"]))
        .collect();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(
        (count("ToolCallStarted"), count("ToolCallCompleted")),
        (2, 2)
    );
    assert_eq!((count("StepStarted"), count("StepFinished")), (2, 2));
    let arguments: String = log
        .iter()
        .filter(|event| event["__typename"] == "ToolCallArgumentsDelta")
        .filter(|event| event["toolCallId"] == parts[1]["toolCallId"])
        .map(|event| string(&event["delta"]))
        .collect();
    assert_eq!(parts[1]["arguments"], arguments);
}

/// What the model was told, of the tools and of their results.
fn check_prompts(upstream: &Upstream) {
    let asked = &upstream.received()[0].body;
    let tools = asked["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["calculator", "current_time"]);
    assert_eq!(
        roles(upstream, 1),
        ["system", "user", "assistant", "tool", "tool"]
    );
    let calls = &shown(upstream, 1)[2]["tool_calls"];
    assert_eq!(calls.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_the_model_gets_wrong_it_is_told() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let client = server.client();
    let wrong = call(
        Script::stream(),
        0,
        "calculator",
        "{\"expresion\": \"6*7\"}",
    );
    let wrong = call(wrong, 1, "calculator", "{\"expression\": ");
    server
        .upstream
        .then(called(call(wrong, 2, "telephone", "{}")));
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    server.upstream.then(Script::tokens(["42"]));
    let answer = chat(&client, None, "6*7?").await;
    assert_eq!(answer["message"]["text"], "42");
    let told: Vec<_> = shown(&server.upstream, 1)
        .into_iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| message["content"].to_string())
        .collect();
    assert_eq!(told.len(), 3);
    for reason in ["not valid", "not JSON", "there is no tool"] {
        assert!(
            told.iter().any(|text| text.contains(reason)),
            "{reason}: {told:?}"
        );
    }
}

#[tokio::test]
async fn a_run_has_its_steps_and_its_mistakes() {
    let folder = agents("max_steps = 2");
    let server = setup(&folder).set("runs.tool_mistakes", 1).start().await;
    let client = server.client();
    for _ in 0..2 {
        server
            .upstream
            .then(calculates("{\"expression\": \"1+1\"}"));
    }
    let endless = chat(&client, None, "Count").await;
    assert_eq!(endless["run"]["error"]["code"], "TOO_MANY_STEPS");
    for _ in 0..2 {
        server.upstream.then(calculates("{}"));
    }
    let wrong = chat(&client, None, "Count").await;
    assert_eq!(wrong["run"]["error"]["code"], "TOOL_ARGUMENTS");
    // The conversation goes on, and no call without a result is sent to a provider.
    let session = string(&endless["session"]["id"]);
    assert_eq!(
        chat(&client, Some(&session), "And?").await["run"]["status"],
        "COMPLETED"
    );
}

/// A call that a limit has cut is not made.
#[tokio::test]
async fn a_call_that_was_cut_is_not_made() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let client = server.client();
    let script = call(Script::stream(), 0, "calculator", "{\"expression\": \"1");
    let script = script
        .event(finish("length"))
        .event(usage(7, 3))
        .event("[DONE]");
    server.upstream.then(script);
    let cut = chat(&client, None, "Count").await;
    assert_eq!(cut["run"]["finishReason"], "LENGTH");
    assert_eq!(server.upstream.received().len(), 1);
}

/// What a tool has done is not done again by the server that takes the run up.
#[tokio::test]
async fn a_finished_call_is_not_made_again() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let folder = agents("");
    let path = folder.path().display().to_string();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
    ];
    let mut killed = process(&home, &upstream, &settings).await;
    upstream.then(calculates("{\"expression\": \"6*7\"}"));
    upstream.then(half_said());
    let (_, id) = send(&killed.client(), None, "6*7?").await;
    upstream.wait_holding(1).await;
    eventually("the second step's first words", async || {
        let output = run(&killed.client(), &id).await["output"].take();
        (output["text"] == "one two ").then_some(())
    })
    .await;
    killed.kill();
    killed.exit_code().await;

    upstream.then(Script::tokens(["It is 42."]));
    let next = process(&home, &upstream, &settings).await;
    let client = next.client();
    let ended = ended_run(&client, &id).await;
    assert_eq!(ended["output"]["text"], "It is 42.", "{ended}");
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    let kinds: Vec<_> = log
        .iter()
        .map(|event| string(&event["__typename"]))
        .collect();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(
        (count("ToolCallStarted"), count("ToolCallCompleted")),
        (1, 1)
    );
    assert_eq!(count("StepRestarted"), 1);
    let restarted = log
        .iter()
        .find(|event| event["__typename"] == "StepRestarted")
        .unwrap();
    assert_eq!(restarted["step"], 2);
    let told = shown(&upstream, 2);
    assert_eq!(
        told.iter()
            .filter(|message| message["role"] == "tool")
            .count(),
        1
    );
}

#[tokio::test]
async fn an_agent_has_only_tools_that_are_there() {
    let folder = TempDir::new().unwrap();
    let toml = "name = \"a\"\ndescription = \"d\"\ninstructions = \"i\"\ntools = [\"telephone\"]\n";
    std::fs::write(folder.path().join("a.toml"), toml).unwrap();
    let settings = format!(
        "[agents]\nfolder = \"{}\"\ndefault = \"a\"\n",
        folder.path().display()
    );
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("talkgraph.toml"), settings).unwrap();
    let folder = folder.path().display().to_string();
    let command = crate::support::process::program(home.path(), &[], &[("agents.folder", &folder)]);
    let ended = crate::support::process::run(command).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .stderr
            .contains("a.toml: tools: there is no tool \"telephone\""),
        "{}",
        ended.stderr
    );
}
