//! Two providers that others have written to imitate the vendors.

use std::process::Command;

use serde_json::json;

use crate::part::{Part, free_port, node, python};
use crate::support::server::{Setup, TestServer, repository};
use crate::support::talk::chat;
use crate::support::upstream::Upstream;

/// Each protocol with its path below the provider's address.
type Protocols = [(&'static str, &'static str, &'static str); 4];

/// A server whose provider is there.
async fn server(kind: &str, base_url: &str, model: &str) -> TestServer {
    Setup::new()
        .set("models.default", format!("mine/{model}"))
        .set("models.providers.mine.kind", kind)
        .set("models.providers.mine.base_url", base_url)
        .set("models.providers.mine.api_key", "test-key")
        .start_with(Upstream::start().await, "http://127.0.0.1:9/v1")
        .await
}

const PARTS: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    run { status error { code message } usage { inputTokens outputTokens } }
    message { text data parts { __typename ... on ToolResultPart { text isError } } } } }";

#[tokio::test]
async fn aimock_is_understood_over_every_protocol() {
    let port = free_port();
    let mut command = Command::new("node");
    command
        .arg(node("@copilotkit/aimock/dist/cli.js"))
        .args(["--strict", "--port", &port.to_string(), "--fixtures"])
        .arg(repository("tests/parts/aimock.json"));
    let mut mock = Part::start(command);
    mock.says("listening").await;
    let protocols: Protocols = [
        ("openai", "/v1", "gpt-6-luna"),
        ("openai-responses", "/v1", "gpt-6-luna"),
        ("anthropic", "/v1", "claude-haiku-5-5"),
        ("gemini", "/v1beta", "gemini-3.8-flash"),
    ];
    for (kind, path, model) in protocols {
        let server = server(kind, &format!("http://127.0.0.1:{port}{path}"), model).await;
        let client = server.client();
        let hello = chat(&client, None, "hello").await;
        assert_eq!(
            hello["message"]["text"], "Hello! How can I help you today?",
            "{kind}: {hello}"
        );
        let input = json!({ "input": { "message": { "text": "compute" } } });
        let computed = client.data(PARTS, &input).await;
        let answer = &computed["chat"]["message"];
        assert_eq!(
            answer["text"], "It is 42, says the calculator.",
            "{kind}: {computed}"
        );
        let mut parts = answer["parts"].as_array().unwrap().iter();
        let result = parts
            .find(|part| part["__typename"] == "ToolResultPart")
            .unwrap();
        assert!(
            result["text"].as_str().unwrap().contains("42"),
            "{kind}: {result}"
        );
        let thought = chat(&client, None, "think").await;
        assert_eq!(
            thought["message"]["text"], "Thought through.",
            "{kind}: {thought}"
        );
        let schema = json!({ "type": "object", "properties": { "answer": { "type": "string" } },
            "required": ["answer"] });
        let input = json!({ "input": { "message": { "text": "plan" }, "outputSchema": schema } });
        let planned = client.data(PARTS, &input).await;
        let data = &planned["chat"]["message"]["data"];
        assert_eq!(data, &json!({ "answer": "yes" }), "{kind}: {planned}");
    }
}

#[tokio::test]
async fn llmock_is_understood_over_every_protocol() {
    let port = free_port();
    let mut command = Command::new(python("llmock"));
    command.args([
        "serve",
        "--host",
        "127.0.0.1",
        "--response-style",
        "echo",
        "--port",
    ]);
    command.arg(port.to_string());
    let mut mock = Part::start(command);
    mock.says("Uvicorn running on").await;
    let protocols: Protocols = [
        ("openai", "/v1", "gpt-6-luna"),
        ("openai-responses", "/v1", "gpt-6-luna"),
        ("anthropic", "/anthropic/v1", "claude-haiku-5-5"),
        ("gemini", "/gemini/v1beta", "gemini-3.8-flash"),
    ];
    for (kind, path, model) in protocols {
        let server = server(kind, &format!("http://127.0.0.1:{port}{path}"), model).await;
        // It calls a tool that is offered, and answers once it has the result.
        let input = json!({ "input": { "message": { "text": "What time is it?" } } });
        let chatted = server.client().data(PARTS, &input).await;
        let chat = &chatted["chat"];
        assert_eq!(chat["run"]["status"], "COMPLETED", "{kind}: {chat}");
        assert!(
            !chat["message"]["text"].as_str().unwrap().is_empty(),
            "{kind}: {chat}"
        );
        let input = json!({ "input": { "message": { "text": "Hi" },
            "toolChoice": { "mode": "NONE" } } });
        let chatted = server.client().data(PARTS, &input).await;
        let chat = &chatted["chat"];
        assert_eq!(chat["run"]["status"], "COMPLETED", "{kind}: {chat}");
        let text = json!([{ "__typename": "TextPart" }]);
        assert_eq!(chat["message"]["parts"], text, "{kind}: {chat}");
    }
}
