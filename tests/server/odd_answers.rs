//! Answers that are odd, and what a run makes of them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::agent_tools::{PARTS, agents, call, called, setup, shown};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, check_sequences, run_events, string};
use crate::support::upstream::{Script, Upstream, chunk, finish, usage};

/// An answer that says nothing.
fn nothing() -> Script {
    Script::stream().ended()
}

/// An answer that only thinks.
fn thought() -> Script {
    let delta = json!({ "reasoning_content": "Hm." });
    Script::stream().event(chunk(&delta)).ended()
}

async fn parts_of(client: &Client, answer: &Value) -> Vec<Value> {
    let data = client
        .data(PARTS, &json!({ "id": answer["run"]["id"] }))
        .await;
    data["run"]["output"]["parts"].as_array().unwrap().clone()
}

fn models(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received();
    let models = received.iter().map(|one| string(&one.body["model"]));
    models.collect()
}

async fn two_models() -> TestServer {
    Setup::new()
        .set("models.default", "openai/first,openai/second")
        .set("models.resilience.attempts", 2)
        .set("models.resilience.backoff_ms", 1)
        .start()
        .await
}

#[tokio::test]
async fn an_odd_usage_costs_no_answer() {
    let server = Setup::new().start().await;
    let counts = json!({ "prompt_tokens": 1151, "completion_tokens": -35 });
    let last = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": counts });
    let script = Script::stream().event(usage(1151, 1)).text(["Hi"]);
    server.upstream.then(script.event(last).event("[DONE]"));
    let client = server.client();
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    assert_eq!(answer["message"]["text"], "Hi");
    let document = "query($id: ID!) { run(id: $id) { usage { cost } } }";
    let data = client
        .data(document, &json!({ "id": answer["run"]["id"] }))
        .await;
    assert_eq!(data["run"]["usage"]["cost"], Value::Null);
}

#[tokio::test]
async fn an_empty_answer_is_repeated_then_asked_of_the_next_model_then_fails() {
    let server = two_models().await;
    let client = server.client();
    server.upstream.then(nothing());
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["message"]["text"], "echo 2: Hello", "{answer}");
    assert_eq!(models(&server.upstream), ["first", "first"]);

    for _ in 0..2 {
        server.upstream.then(nothing());
    }
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["message"]["text"], "echo 2: Hello", "{answer}");
    assert_eq!(models(&server.upstream)[2..], ["first", "first", "second"]);

    for _ in 0..4 {
        server.upstream.then(nothing());
    }
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "FAILED", "{answer}");
    assert_eq!(answer["run"]["error"]["code"], "EMPTY_ANSWER");
    assert_eq!(answer["message"], Value::Null);
}

pub(crate) async fn reasoning_alone_is_no_answer(db: Arc<Database>) {
    let server: TestServer = Setup::new()
        .on(&db)
        .set("models.default", "openai/first,openai/second")
        .start()
        .await;
    let client = server.client();
    server.upstream.then(thought());
    server.upstream.then(thought());
    server.upstream.then(Script::tokens(["Hi"]));
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    assert_eq!(answer["message"]["text"], "Hi");
    assert_eq!(models(&server.upstream), ["first", "first", "second"]);
    // What came to nothing is gone.
    let parts = parts_of(&client, &answer).await;
    assert_eq!(parts, [json!({ "__typename": "TextPart", "text": "Hi" })]);
    let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
    check_sequences(&log);
    let steps = log
        .iter()
        .filter(|event| event["__typename"] == "StepStarted");
    let purposes: Vec<_> = steps.map(|event| string(&event["purpose"])).collect();
    assert_eq!(purposes, ["ANSWER", "REPAIR", "REPAIR"]);
    // The model is told.
    let last = shown(&server.upstream, 1).pop().unwrap();
    assert!(string(&last["content"]).contains("empty"), "{last}");

    for _ in 0..3 {
        server.upstream.then(thought());
    }
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["error"]["code"], "EMPTY_ANSWER", "{answer}");
    assert_eq!(answer["run"]["error"]["retryable"], true);
}

#[tokio::test]
async fn a_limit_that_is_used_up_by_reasoning_says_so() {
    let server = Setup::new().start().await;
    let delta = json!({ "reasoning_content": "Hm." });
    let script = Script::stream()
        .event(chunk(&delta))
        .event(finish("length"));
    server
        .upstream
        .then(script.event(usage(7, 3)).event("[DONE]"));
    let answer = chat(&server.client(), None, "Hello").await;
    let error = &answer["run"]["error"];
    assert_eq!(error["code"], "EMPTY_ANSWER", "{answer}");
    assert!(string(&error["message"]).contains("max_output_tokens"));
    assert_eq!(server.upstream.received().len(), 1);
}

#[tokio::test]
async fn nothing_after_a_tool_is_no_success() {
    let folder = agents("");
    let server = setup(&folder)
        .set("models.resilience.attempts", 1)
        .start()
        .await;
    let client = server.client();
    let script = Script::stream().text(["Let me see."]);
    let script = call(script, 0, "calculator", "{\"expression\": \"6*7\"}");
    server.upstream.then(called(script.clone()));
    server.upstream.then(nothing());
    server.upstream.then(Script::tokens(["42"]));
    let answer = chat(&client, None, "What is 6 times 7?").await;
    assert_eq!(answer["message"]["text"], "Let me see.42", "{answer}");
    // The same request would give the same.
    let last = shown(&server.upstream, 2).pop().unwrap();
    assert_eq!(last["role"], "user");
    assert!(string(&last["content"]).contains("empty"), "{last}");

    server.upstream.then(called(script));
    server.upstream.then(nothing());
    server.upstream.then(nothing());
    let answer = chat(&client, None, "What is 6 times 7?").await;
    assert_eq!(answer["run"]["error"]["code"], "EMPTY_ANSWER", "{answer}");
    // What was done stays to be seen.
    assert_eq!(answer["message"]["text"], "Let me see.");
    assert_eq!(parts_of(&client, &answer).await.len(), 3);
}

#[tokio::test]
async fn a_call_that_cannot_be_read_is_told_to_the_model() {
    let folder = agents("");
    let server = setup(&folder)
        .set("models.resilience.attempts", 1)
        .set("runs.tool_mistakes", 1)
        .start()
        .await;
    let client = server.client();
    let malformed = || {
        let reason = "function_call_filter: MALFORMED_FUNCTION_CALL";
        let script = Script::stream().text(["Let me compute. "]);
        script.event(finish(reason)).event("[DONE]")
    };
    server.upstream.then(malformed());
    server.upstream.then(Script::tokens(["4"]));
    let answer = chat(&client, None, "2+2?").await;
    assert_eq!(answer["message"]["text"], "Let me compute. 4", "{answer}");
    let messages = shown(&server.upstream, 1);
    let [said, told] = &messages[messages.len() - 2..] else {
        panic!("{messages:?}")
    };
    assert_eq!(said["content"], "Let me compute. ");
    assert!(
        string(&told["content"]).contains("could not be read"),
        "{told}"
    );

    server.upstream.then(malformed());
    server.upstream.then(malformed());
    let answer = chat(&client, None, "2+2?").await;
    assert_eq!(answer["run"]["error"]["code"], "TOOL_ARGUMENTS", "{answer}");
}

#[tokio::test]
async fn arguments_are_read_as_what_they_mean() {
    let folder = agents("");
    let server = setup(&folder).start().await;
    let client = server.client();
    let whole = |name: &str, arguments: Value| {
        let function = json!({ "name": name, "arguments": arguments });
        let call = json!({ "index": 0, "id": "A", "function": function });
        called(Script::stream().event(chunk(&json!({ "tool_calls": [call] }))))
    };
    let object = json!({ "expression": "1+1" });
    let text = object.to_string();
    let twice = json!(text).to_string();
    for (name, arguments, meant) in [
        ("calculator", json!(twice), &*text),
        ("calculator", object.clone(), &text),
        ("calculator", json!(format!("{{}}{text}")), &text),
        ("calculator", json!(format!("{text}{text}")), &text),
        ("current_time", json!("null"), "{}"),
        ("current_time", json!(" "), "{}"),
        ("current_time", json!(null), "{}"),
        ("current_time", json!({}), "{}"),
    ] {
        server.upstream.then(whole(name, arguments.clone()));
        server.upstream.then(Script::tokens(["Done."]));
        let answer = chat(&client, None, "Go.").await;
        let parts = parts_of(&client, &answer).await;
        assert_eq!(parts[0]["arguments"], meant, "{arguments}");
        assert_eq!(parts[1]["isError"], false, "{arguments}: {parts:?}");
        // What goes back is what was called.
        let messages = shown(&server.upstream, server.upstream.received().len() - 1);
        let said = &messages[messages.len() - 2]["tool_calls"][0]["function"]["arguments"];
        assert_eq!(said, meant, "{arguments}");
    }
}

#[tokio::test]
async fn reasoning_between_tags_is_no_data_and_is_not_sent_back() {
    let server = Setup::new().start().await;
    let client = server.client();
    let thinks = "<think>\nThey want {\"capital\": ...}. It is {Paris}.\n</think>\n\n";
    let json = "{\"capital\":\"Paris\"}";
    server.upstream.then(Script::tokens([thinks, json]));
    let schema = json!({ "type": "object", "properties": { "capital": { "type": "string" } },
        "required": ["capital"], "additionalProperties": false });
    let input = json!({ "input": { "message": { "text": "The capital of France?" },
        "outputSchema": schema } });
    let document = "mutation($input: ChatInput!) { chat(input: $input) {
        session { id } message { text data } } }";
    let answer = client.data(document, &input).await["chat"].take();
    assert_eq!(answer["message"]["data"], json!({ "capital": "Paris" }));
    assert_eq!(answer["message"]["text"], json);
    let session = string(&answer["session"]["id"]);
    chat(&client, Some(&session), "And now?").await;
    let messages = shown(&server.upstream, 1);
    assert_eq!(messages[2]["content"], json);
    assert_eq!(server.upstream.received().len(), 2);
}

/// Only the closing tag says that all before it was no text. What was streamed is discarded.
pub(crate) async fn text_that_was_reasoning_is_taken_back(db: Arc<Database>) {
    let server: TestServer = Setup::new().on(&db).start().await;
    let client = server.client();
    let pieces = ["Hm, ", "well.\n", "</think>", "\n\n", "Hi", "!"];
    server.upstream.then(Script::tokens(pieces));
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["message"]["text"], "Hi!", "{answer}");
    let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
    check_sequences(&log);
    let restarted = log
        .iter()
        .position(|event| event["__typename"] == "StepRestarted")
        .unwrap();
    let started = log
        .iter()
        .find(|event| event["__typename"] == "StepStarted")
        .unwrap();
    assert_eq!(log[restarted]["discardAfter"], started["sequence"]);
    let of = |kind: &str, events: &[Value]| -> String {
        let deltas = events.iter().filter(|event| event["__typename"] == kind);
        deltas.map(|event| string(&event["delta"])).collect()
    };
    assert_eq!(of("TextDelta", &log[..restarted]).trim_end(), "Hm, well.");
    assert_eq!(
        of("ReasoningDelta", &log[restarted..]).trim_end(),
        "Hm, well."
    );
    assert_eq!(of("TextDelta", &log[restarted..]), "Hi!");
}
