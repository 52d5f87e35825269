//! LiteLLM's proxy between the server and the vendors.

use std::process::Command;

use serde_json::{Value, json};

use crate::part::{Part, free_port, installed};
use crate::support::server::Setup;
use crate::support::strict;
use crate::support::talk::string;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } run { status error { code message } usage { inputTokens outputTokens } }
    message { text parts { __typename ... on ToolResultPart { text isError } } } } }";

const COMPUTE: &str = "How much is it?\ncall calculator {\"expression\": \"6*7\"}";

/// LiteLLM with a strict provider behind it, at this port.
fn litellm(folder: &std::path::Path, port: u16, base_url: &str) -> Command {
    let root = base_url.trim_end_matches("/v1");
    let config = format!(
        "model_list:\n\
         - model_name: gpt-6-luna\n  litellm_params:\n    model: openai/gpt-6-luna\n    \
           api_base: {base_url}\n    api_key: sk-vendor\n\
         - model_name: claude-haiku-5-5\n  litellm_params:\n    model: anthropic/claude-haiku-5-5\n    \
           api_base: {root}\n    api_key: sk-vendor\n\
         general_settings:\n  master_key: sk-litellm\n"
    );
    let file = folder.join("litellm.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(installed("target/tools/parts-long/bin/litellm"));
    command
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--config",
        ])
        .arg(file)
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("PYTHONUNBUFFERED", "1")
        .current_dir(folder);
    command
}

#[tokio::test]
async fn litellm_is_a_gateway_to_the_vendors() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = strict::start().await;
    let port = free_port();
    let mut proxy = Part::start(litellm(folder.path(), port, &upstream.base_url()));
    proxy.says_at_last("Uvicorn running on").await;
    let mut setup = Setup::new().set("models.default", "chat/gpt-6-luna");
    for (name, kind) in [
        ("chat", "openai"),
        ("responses", "openai-responses"),
        ("messages", "anthropic"),
    ] {
        setup = setup
            .set(&format!("models.providers.{name}.kind"), kind)
            .set(
                &format!("models.providers.{name}.base_url"),
                format!("http://127.0.0.1:{port}/v1"),
            )
            .set(&format!("models.providers.{name}.api_key"), "sk-litellm");
    }
    let server = setup.start_with(upstream, "http://127.0.0.1:9/v1").await;
    let client = server.client();
    for (name, model) in [
        ("one", "chat/gpt-6-luna"),
        ("two", "responses/gpt-6-luna"),
        ("three", "messages/claude-haiku-5-5"),
        ("four", "chat/claude-haiku-5-5"),
    ] {
        let document = "mutation($input: CreateAgentInput!) { createAgent(input: $input) {
            agent { name } } }";
        let agent = json!({ "input": { "name": name, "description": "Computes.",
            "instructions": "Compute.", "models": [model], "tools": ["calculator"],
            "parameters": { "temperature": 0.3, "maxOutputTokens": 500 } } });
        client.data(document, &agent).await;
        let mut session = Value::Null;
        for text in ["Hello", COMPUTE, "Thank you"] {
            let mut input = json!({ "message": { "text": text }, "sessionId": session });
            if session.is_null() {
                input = json!({ "message": { "text": text }, "agent": name });
            }
            let data = client.data(CHAT, &json!({ "input": input })).await;
            let chat = &data["chat"];
            assert_eq!(chat["run"]["status"], "COMPLETED", "{model}: {chat}");
            assert!(
                chat["run"]["usage"]["inputTokens"].as_u64() > Some(0),
                "{model}: {chat}"
            );
            session = chat["session"]["id"].clone();
            if text == COMPUTE {
                let mut parts = chat["message"]["parts"].as_array().unwrap().iter();
                let result = parts.find(|part| part["__typename"] == "ToolResultPart");
                assert!(
                    string(&result.unwrap()["text"]).contains("42"),
                    "{model}: {chat}"
                );
            }
        }
    }
}
