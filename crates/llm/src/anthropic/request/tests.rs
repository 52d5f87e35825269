#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::body;
use crate::capabilities::adapt;
use crate::samples::{closed, everything, file, open, says, tools};
use crate::{
    Capabilities, ChatMessage, ChatProtocol, ChatRequest, ChatRole, Content, LlmError, ToolChoice,
};
use talkgraph_domain::capabilities::StructuredOutput;

fn sent(request: &ChatRequest) -> Value {
    let mut request = request.clone();
    if *request.capabilities == Capabilities::default() {
        let host = "api.anthropic.com";
        let capabilities = Capabilities::of(Some(ChatProtocol::Messages), host, &request.model);
        request.capabilities = Arc::new(capabilities);
    }
    adapt(&mut request, ChatProtocol::Messages);
    serde_json::from_slice(&body(&request).unwrap().json).unwrap()
}

#[test]
fn all_request_fields_are_sent() {
    assert_json_snapshot!(sent(&everything()));
}

#[test]
fn unset_parameters_are_not_sent() {
    let request = ChatRequest::new("m", vec![ChatMessage::user("Hi")]);
    let text = json!({ "type": "text", "text": "Hi", "cache_control": { "type": "ephemeral" } });
    let bare = json!({
        "model": "m", "max_tokens": 8192, "stream": true,
        "messages": [{ "role": "user", "content": [text] }],
    });
    assert_eq!(sent(&request), bare);
}

#[test]
fn tools_are_chosen() {
    let mut request = ChatRequest::new("m", Vec::new());
    request.tools = tools().into();
    assert_eq!(sent(&request).get("tool_choice"), None);
    for (choice, parallel, expected) in [
        (ToolChoice::None, false, json!({ "type": "none" })),
        (
            ToolChoice::Auto,
            false,
            json!({ "type": "auto", "disable_parallel_tool_use": true }),
        ),
        (ToolChoice::Required, true, json!({ "type": "any" })),
        (
            ToolChoice::Named("time".to_owned()),
            true,
            json!({ "type": "tool", "name": "time" }),
        ),
    ] {
        request.tool_choice = choice;
        request.parallel_tool_calls = parallel;
        assert_eq!(sent(&request)["tool_choice"], expected);
    }
}

/// An agent without tools continues a conversation with calls.
#[test]
fn removed_tools_are_declared_and_not_called() {
    let mut request = everything();
    let names = |sent: &Value| -> Vec<Value> {
        let tools = sent["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["name"].clone()).collect()
    };
    let called: Vec<_> = request
        .messages
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|content| match content {
            Content::ToolCall { name, .. } => Some(json!(name)),
            _ => None,
        })
        .collect();
    assert!(!called.is_empty());
    request.tools = Arc::default();
    let sent = sent(&request);
    assert!(called.iter().all(|name| names(&sent).contains(name)));
    assert_eq!(sent["tool_choice"], json!({ "type": "none" }));
}

#[test]
fn schema_is_enforced_or_part_of_the_instructions() {
    let mut request = ChatRequest::new("m", vec![ChatMessage::system("Be brief.")]);
    request.output_schema = Some(closed());
    let format = json!({ "type": "json_schema", "schema": closed().schema });
    let enforced = sent(&request);
    assert_eq!(enforced["output_config"], json!({ "format": format }));
    assert_eq!(enforced["system"][0]["text"], "Be brief.");

    let imitation = {
        request.capabilities = Arc::new(Capabilities {
            structured_output: StructuredOutput::Words,
            ..Capabilities::default()
        });
        serde_json::from_slice(&body(&request).unwrap().json).unwrap()
    };
    request.output_schema = Some(open());
    for body in [imitation, sent(&request)] {
        assert_eq!(body.get("output_config"), None);
        let system = body["system"][0]["text"].as_str().unwrap();
        let told = system.contains("JSON Schema:\n{\"properties\"")
            || system.contains("JSON Schema:\n{\"type\"");
        assert!(
            system.starts_with("Be brief.\n\nAnswer") && told,
            "{system}"
        );
    }
}

#[test]
fn a_recording_is_refused() {
    let messages = vec![says(ChatRole::User, vec![file("audio/wav", None)])];
    let refused = body(&ChatRequest::new("m", messages));
    assert_eq!(refused, Err(LlmError::rejected(415)));
}
