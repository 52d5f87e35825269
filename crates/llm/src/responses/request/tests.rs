#![allow(clippy::unwrap_used)]

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use std::sync::Arc;

use super::body;
use crate::samples::{
    MODEL, closed, everything, file, linked, open, reasoning, says, signed, tools,
};
use crate::{
    Capabilities, ChatMessage, ChatProtocol, ChatRequest, ChatRole, Content, LlmError, ToolChoice,
};

fn sent(request: &ChatRequest) -> Value {
    serde_json::from_slice(&body(request).unwrap().json).unwrap()
}

#[test]
fn all_request_fields_are_sent() {
    assert_json_snapshot!(sent(&everything()));
}

#[test]
fn unset_parameters_are_not_sent() {
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
fn trailing_thought_is_left_out() {
    let content = vec![
        signed("First.", "responses", "rs_1:ZW5j"),
        reasoning("Other account's.", Some("responses#other.x:rs_1:ZW5j")),
        Content::Text("Hi".to_owned()),
        signed("Last.", "responses", "rs_1:ZW5j"),
    ];
    let messages = vec![
        ChatMessage::user("Hello"),
        says(ChatRole::Assistant, content),
        ChatMessage::user("And?"),
    ];
    let mut request = ChatRequest::new(MODEL, messages);
    let thought = json!({
        "type": "reasoning", "id": "rs_1", "encrypted_content": "ZW5j",
        "summary": [{ "type": "summary_text", "text": "First." }],
    });
    let text = json!({ "role": "assistant", "content": "Hi" });
    let said = |request: &ChatRequest| {
        let input = sent(request)["input"].as_array().unwrap().clone();
        json!(input[1..input.len() - 1])
    };
    assert_eq!(said(&request), json!([thought, text]));
    // No other model can read it.
    request.model = "model-2".to_owned();
    assert_eq!(said(&request), json!([text]));
}

#[test]
fn tool_choice_and_schema_are_sent() {
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
    let refused = body(&ChatRequest::new("m", messages));
    assert_eq!(refused, Err(LlmError::rejected(415)));
}
