#![allow(clippy::unwrap_used)]

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use std::sync::Arc;

use super::body;
use crate::llm::samples::{closed, everything, file, linked, open, reasoning, says, tools};
use crate::llm::{
    Capabilities, ChatMessage, ChatProtocol, ChatRequest, ChatRole, Content, LlmError, ToolChoice,
};

const SIGNER: &str = "responses@api.openai.com";

fn sent(request: &ChatRequest) -> Value {
    serde_json::from_slice(&body(request, SIGNER).unwrap()).unwrap()
}

#[test]
fn everything_has_its_place() {
    assert_json_snapshot!(sent(&everything()));
}

#[test]
fn what_is_not_set_is_not_sent() {
    let request = ChatRequest::new("gpt-4.1", vec![ChatMessage::user("Hi")]);
    let bare = json!({
        "model": "gpt-4.1", "stream": true, "store": false,
        "input": [{ "role": "user", "content": [{ "type": "input_text", "text": "Hi" }] }],
    });
    assert_eq!(sent(&request), bare);
}

fn of(model: &str) -> Capabilities {
    Capabilities::of(Some(ChatProtocol::Responses), "api.openai.com", model)
}

#[test]
fn only_models_that_reason_are_asked_for_it() {
    for model in [
        "o3",
        "o4-mini",
        "gpt-5",
        "gpt-5.2-codex",
        "gpt-10",
        "openai/gpt-5-mini",
    ] {
        assert!(of(model).reasons, "{model}");
    }
    for model in ["gpt-4.1", "gpt-4o", "gpt-5-chat-latest", "omni", "llama"] {
        assert!(!of(model).reasons, "{model}");
    }
    let include = json!(["reasoning.encrypted_content"]);
    let request = ChatRequest {
        capabilities: Arc::new(of("o3")),
        ..ChatRequest::new("o3", vec![])
    };
    assert_eq!(sent(&request)["include"], include);
}

#[test]
fn a_thought_without_anything_after_it_is_left_out() {
    let signature = Some("responses@api.openai.com:rs_1:ZW5j");
    let content = vec![
        reasoning("First.", signature),
        reasoning("Other host's.", Some("responses@localhost:rs_1:ZW5j")),
        Content::Text("Hi".to_owned()),
        reasoning("Last.", signature),
    ];
    let request = ChatRequest::new("m", vec![says(ChatRole::Assistant, content)]);
    let thought = json!({
        "type": "reasoning", "id": "rs_1", "encrypted_content": "ZW5j",
        "summary": [{ "type": "summary_text", "text": "First." }],
    });
    let text = json!({ "role": "assistant", "content": "Hi" });
    assert_eq!(sent(&request)["input"], json!([thought, text]));
}

#[test]
fn tools_are_chosen_and_schemas_told() {
    let mut request = ChatRequest::new("m", Vec::new());
    request.tools = tools().into();
    request.tool_choice = ToolChoice::Named("time".to_owned());
    let body = sent(&request);
    assert_eq!(
        body["tool_choice"],
        json!({ "type": "function", "name": "time" })
    );
    assert_eq!(body.get("parallel_tool_calls"), None);
    for (output, strict) in [(closed(), true), (open(), false)] {
        request.output_schema = Some(output.clone());
        let format = json!({
            "type": "json_schema", "name": "answer", "schema": output.schema, "strict": strict,
        });
        assert_eq!(sent(&request)["text"], json!({ "format": format }));
    }
}

#[test]
fn files_take_the_form_of_their_kind() {
    let content = vec![
        file("application/pdf", None),
        linked("application/pdf", "https://example.com/a.pdf"),
    ];
    let request = ChatRequest::new("m", vec![says(ChatRole::User, content)]);
    let expected = json!([
        { "type": "input_file", "filename": "document.pdf",
          "file_data": "data:application/pdf;base64,aGk=" },
        { "type": "input_file", "file_url": "https://example.com/a.pdf" },
    ]);
    assert_eq!(sent(&request)["input"][0]["content"], expected);
    let messages = vec![says(ChatRole::User, vec![file("audio/wav", None)])];
    let refused = body(&ChatRequest::new("m", messages), SIGNER);
    assert_eq!(refused, Err(LlmError::Rejected { status: 415 }));
}
