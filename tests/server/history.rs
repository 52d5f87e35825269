//! Sessions go on, whatever their past is.

use serde_json::{Value, json};

use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, input, string};
use crate::support::upstream::{Received, Script, Upstream, chunk, finish};

/// A provider whose template wants two roles by turns, as llama.cpp and vLLM refuse it.
fn alternating(request: &Received) -> Script {
    let roles = request.body["messages"].as_array().unwrap().iter();
    let roles: Vec<_> = roles
        .map(|message| string(&message["role"]))
        .filter(|role| role != "system")
        .collect();
    if roles
        .windows(2)
        .any(|pair| pair[0] == pair[1] || pair == ["tool", "user"])
        || roles[0] != "user"
    {
        let body = json!({ "object": "error", "type": "BadRequestError", "code": 400, "message":
            "Conversation roles must alternate user/assistant/user/assistant/..." });
        return Script::json(400, &body);
    }
    Script::tokens(["Hi"])
}

async fn server_with(upstream: Upstream, kind: &str, model: &str) -> TestServer {
    let url = upstream.base_url();
    let folder = tempfile::tempdir().unwrap();
    let agent = "name = \"plain\"\ndescription = \"Answers.\"\ninstructions = \"Be brief.\"\n\
        tools = [\"calculator\"]\n";
    std::fs::write(folder.path().join("plain.toml"), agent).unwrap();
    Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "plain")
        .set("models.default", format!("mine/{model}"))
        .set("models.providers.mine.kind", kind)
        .set("models.providers.mine.base_url", &url)
        .set("models.resilience.attempts", 1)
        .start_with(upstream, "http://127.0.0.1:9/v1")
        .await
}

#[tokio::test]
async fn a_session_goes_on_after_a_failed_run() {
    let upstream = Upstream::answering(alternating).await;
    let server = server_with(upstream, "openai", "small").await;
    let client = server.client();
    let failed = json!({ "error": { "message": "temporary" } });
    server.upstream.then(Script::json(400, &failed));
    let first = chat(&client, None, "Hello").await;
    assert_eq!(first["run"]["status"], "FAILED");
    let session = string(&first["session"]["id"]);
    let second = chat(&client, Some(&session), "Are you there?").await;
    assert_eq!(second["run"]["status"], "COMPLETED", "{second}");
    let sent = &server.upstream.received()[1].body["messages"];
    assert_eq!(
        sent[1],
        json!({ "role": "user", "content": "Hello\n\nAre you there?" })
    );
}

/// The run fails once its tools have answered: their results are the last thing said.
#[tokio::test]
async fn a_session_goes_on_after_a_run_that_failed_among_its_tools() {
    let upstream = Upstream::answering(alternating).await;
    let server = server_with(upstream, "openai", "small").await;
    let client = server.client();
    let call = json!({ "index": 0, "id": "call_0", "type": "function",
        "function": { "name": "calculator", "arguments": "{\"expression\":\"1+1\"}" } });
    let calls = Script::stream()
        .event(chunk(&json!({ "tool_calls": [call] })))
        .event(finish("tool_calls"))
        .event("[DONE]");
    server.upstream.then(calls);
    server.upstream.then(Script::status(400));
    let first = chat(&client, None, "Hello").await;
    assert_eq!(first["run"]["status"], "FAILED");
    let session = string(&first["session"]["id"]);
    let second = chat(&client, Some(&session), "Are you there?").await;
    assert_eq!(second["run"]["status"], "COMPLETED", "{second}");
    let received = server.upstream.received();
    let roles = received.last().unwrap().body["messages"]
        .as_array()
        .unwrap()
        .clone();
    let roles: Vec<_> = roles.iter().map(|one| string(&one["role"])).collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "tool", "assistant", "user"]
    );
}

/// A provider that refuses blank texts, as Anthropic does.
fn not_blank(request: &Received) -> Script {
    let messages = request.body["messages"].as_array().unwrap().iter();
    let blocks: Vec<_> = messages
        .flat_map(|one| one["content"].as_array().unwrap())
        .collect();
    let is_blank = |text: &Value| text.as_str().is_some_and(|text| text.trim().is_empty());
    let blank = blocks
        .iter()
        .any(|block| is_blank(&block["text"]) || is_blank(&block["content"]));
    if blank
        || request.body["system"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| is_blank(&one["text"])))
    {
        return Script::json(
            400,
            &json!({ "type": "error", "error": {
            "type": "invalid_request_error",
            "message": "messages: text content blocks must contain non-whitespace text" } }),
        );
    }
    let ends = |reason: &str| {
        [
            json!({ "type": "message_delta", "delta": { "stop_reason": reason } }),
            json!({ "type": "message_stop" }),
        ]
    };
    let begun = |text: &str| {
        [
            json!({ "type": "content_block_start", "index": 0,
                "content_block": { "type": "text", "text": text } }),
            json!({ "type": "content_block_stop", "index": 0 }),
        ]
    };
    let events: Vec<_> = if blocks.iter().any(|block| block["type"] == "tool_result") {
        begun("done").into_iter().chain(ends("end_turn")).collect()
    } else {
        let call = [
            json!({ "type": "content_block_start", "index": 1, "content_block": {
                "type": "tool_use", "id": "toolu_1", "name": "calculator", "input": {} } }),
            json!({ "type": "content_block_delta", "index": 1, "delta": {
                "type": "input_json_delta", "partial_json": "{\"expression\":\"1+1\"}" } }),
            json!({ "type": "content_block_stop", "index": 1 }),
        ];
        let blank = begun("\n\n").into_iter();
        blank.chain(call).chain(ends("tool_use")).collect()
    };
    events.into_iter().fold(Script::stream(), Script::event)
}

#[tokio::test]
async fn blank_texts_are_not_sent_back() {
    let upstream = Upstream::answering(not_blank).await;
    let server = server_with(upstream, "anthropic", "claude").await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    assert_eq!(first["run"]["status"], "COMPLETED", "{first}");
    assert_eq!(server.upstream.received().len(), 2);
    // Nor are a person's.
    let session = string(&first["session"]["id"]);
    let document = "mutation($input: ChatInput!) { chat(input: $input) { run { status } } }";
    let answer = client
        .response(document, &input(Some(&session), " \n "))
        .await;
    if let Some(run) = answer["data"]["chat"].get("run") {
        assert_eq!(run["status"], "COMPLETED", "{answer}");
    }
}
