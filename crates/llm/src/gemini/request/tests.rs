#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::body;
use crate::samples::{MODEL, call, closed, everything, reasoning, result, says, signed, tools};
use crate::{Capabilities, ChatMessage, ChatProtocol, ChatRequest, ChatRole, Content, ToolChoice};

const HOST: &str = "generativelanguage.googleapis.com";

fn sent(request: &ChatRequest) -> Value {
    let protocol = Some(ChatProtocol::GenerateContent);
    let mut request = request.clone();
    if *request.capabilities == Capabilities::default() {
        request.capabilities = Arc::new(Capabilities::of(protocol, HOST, &request.model));
    }
    serde_json::from_slice(&body(&request).unwrap().json).unwrap()
}

#[test]
fn all_request_fields_are_sent() {
    assert_json_snapshot!(sent(&everything()));
}

#[test]
fn unset_parameters_are_not_sent() {
    let request = ChatRequest::new("gemma-3", vec![ChatMessage::user("Hi")]);
    let bare = json!({
        "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }],
        "generationConfig": {},
    });
    assert_eq!(sent(&request), bare);
}

#[test]
fn models_have_different_capabilities() {
    for (model, has_thoughts, is_strict) in [
        ("gemini-1.5-pro", false, false),
        ("gemini-2.0-flash", false, false),
        ("gemini-2.5-flash", true, false),
        ("models/gemini-3-pro-preview", true, true),
        ("gemini-3-pro-image-preview", false, true),
        ("gemini-flash-latest", true, true),
        ("gemma-3", false, false),
    ] {
        let capabilities = Capabilities::of(Some(ChatProtocol::GenerateContent), HOST, model);
        assert_eq!(capabilities.reasons, has_thoughts, "{model}");
        assert_eq!(capabilities.needs_signatures, is_strict, "{model}");
    }
    let asked = sent(&ChatRequest::new("gemini-3-pro", Vec::new()));
    let config = json!({ "thinkingConfig": { "includeThoughts": true } });
    assert_eq!(asked["generationConfig"], config);
}

#[test]
fn each_signature_is_where_it_came() {
    let step = vec![
        Content::Text("I will".to_owned()),
        signed("", "gemini-text", "VA=="),
        reasoning("A thought.", None),
        signed("", "gemini", "Qw=="),
        call("c1", "time", "{}"),
        call("c2", "time", "{}"),
    ];
    let foreign = vec![call("c3", "time", "{}"), call("c4", "time", "{}")];
    let parts = |model: &str, content: &[Content]| {
        let calls = content.iter().filter_map(|content| match content {
            Content::ToolCall { id, name, .. } => Some(result(id, name, "12", false)),
            _ => None,
        });
        let results = calls.collect();
        let messages = vec![
            ChatMessage::user("Now?"),
            says(ChatRole::Assistant, content.to_vec()),
            says(ChatRole::Tool, results),
        ];
        let mut request = ChatRequest::new(MODEL, messages);
        let capabilities = Arc::make_mut(&mut request.capabilities);
        capabilities.needs_signatures = model == "gemini-3-pro";
        sent(&request)["contents"][1]["parts"].clone()
    };
    let function = |id: &str| json!({ "id": id, "name": "time", "args": {} });
    let expected = json!([
        { "text": "I will" },
        { "text": "", "thoughtSignature": "VA==" },
        { "functionCall": function("c1"), "thoughtSignature": "Qw==" },
        { "functionCall": function("c2") },
    ]);
    assert_eq!(parts("gemini-3-pro", &step), expected);
    let excused = json!([
        { "functionCall": function("c3"), "thoughtSignature": "skip_thought_signature_validator" },
        { "functionCall": function("c4") },
    ]);
    assert_eq!(parts("gemini-3-pro", &foreign), excused);
    let old = json!([{ "functionCall": function("c3") }, { "functionCall": function("c4") }]);
    assert_eq!(parts("gemini-2.5-pro", &foreign), old);
}

#[test]
fn tools_are_chosen() {
    let mut request = ChatRequest::new("m", Vec::new());
    request.tool_choice = ToolChoice::Required;
    assert_eq!(sent(&request).get("toolConfig"), None);
    request.tools = tools().into();
    for (choice, expected) in [
        (ToolChoice::None, json!({ "mode": "NONE" })),
        (ToolChoice::Required, json!({ "mode": "ANY" })),
        (
            ToolChoice::Named("time".to_owned()),
            json!({ "mode": "ANY", "allowedFunctionNames": ["time"] }),
        ),
    ] {
        request.tool_choice = choice;
        let config = json!({ "functionCallingConfig": expected });
        assert_eq!(sent(&request)["toolConfig"], config);
    }
}

#[test]
fn a_schema_is_enforced_unless_there_are_tools() {
    let mut request = ChatRequest::new("m", Vec::new());
    request.output_schema = Some(closed());
    let config = json!({
        "responseMimeType": "application/json", "responseJsonSchema": closed().schema,
    });
    let body = sent(&request);
    assert_eq!(
        (&body["generationConfig"], body.get("systemInstruction")),
        (&config, None)
    );
    request.tools = tools().into();
    let body = sent(&request);
    assert_eq!(body["generationConfig"], json!({}));
    let told = body["systemInstruction"]["parts"][0]["text"]
        .as_str()
        .unwrap();
    assert!(told.contains("JSON Schema"), "{told}");
}
