#![allow(clippy::unwrap_used)]

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use std::sync::Arc;

use super::body;
use crate::samples::{call, everything, file, linked, reasoning, result, says};
use crate::{
    Capabilities, ChatMessage, ChatProtocol, ChatRequest, ChatRole, Content, LlmError,
    OutputSchema, ToolChoice, ToolSpec,
};

fn sent(request: &ChatRequest, host: &str) -> Value {
    let protocol = Some(ChatProtocol::ChatCompletions);
    let mut request = request.clone();
    if *request.capabilities == Capabilities::default() {
        request.capabilities = Arc::new(Capabilities::of(protocol, host, &request.model));
    }
    serde_json::from_slice(&body(&request).unwrap().json).unwrap()
}

#[test]
fn unset_parameters_are_not_sent() {
    let mut request = ChatRequest::new("m", vec![ChatMessage::system("Be brief.")]);
    let bare = json!({
        "model": "m",
        "messages": [{ "role": "system", "content": "Be brief." }],
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    assert_eq!(sent(&request, "localhost"), bare);
    // Without tools, these parameters have no meaning.
    request.tool_choice = ToolChoice::Required;
    request.parallel_tool_calls = false;
    assert_eq!(sent(&request, "localhost"), bare);

    request.sampling.temperature = Some(0.7);
    request.sampling.seed = Some(u64::MAX);
    request.max_output_tokens = Some(5);
    let body = sent(&request, "localhost");
    // Not 0.699999988: the number must arrive as it was written.
    assert_eq!(body["temperature"].to_string(), "0.7");
    assert_eq!(body["seed"], u64::MAX);
    assert_eq!(body["max_tokens"], 5);
    assert_eq!(body.get("max_completion_tokens"), None);
}

#[test]
fn all_request_fields_are_sent() {
    assert_json_snapshot!(sent(&everything(), "api.openai.com"));
}

#[test]
fn servers_get_the_fields_they_know() {
    let mut request = ChatRequest::new("m", Vec::new());
    request.max_output_tokens = Some(5);
    request.sampling.seed = Some(7);
    let schema = json!({ "type": "object" });
    let name = "answer".to_owned();
    request.output_schema = Some(OutputSchema { name, schema });
    let body = sent(&request, "api.openai.com");
    assert_eq!(body["max_completion_tokens"], 5);
    assert_eq!(body.get("max_tokens"), None);
    assert_eq!(body["response_format"]["type"], "json_schema");

    let body = sent(&request, "api.mistral.ai");
    assert_eq!((&body["random_seed"], body.get("seed")), (&json!(7), None));
    assert_eq!(body.get("stream_options"), None);

    let body = sent(&request, "api.deepseek.com");
    assert_eq!(body["response_format"], json!({ "type": "json_object" }));
    let told = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        told.contains("JSON") && told.contains(r#"{"type":"object"}"#),
        "{told}"
    );

    let body = sent(&request, "api.groq.com");
    assert_eq!(body.get("response_format"), None);
    assert_eq!(body["messages"][0]["role"], "system");
}

#[test]
fn schema_is_strict_where_possible() {
    let mut request = ChatRequest::new("m", Vec::new());
    for (open, strict) in [(false, true), (true, false)] {
        let schema = json!({
            "type": "object", "properties": {}, "additionalProperties": open, "required": [],
        });
        let mut schema = schema;
        if open {
            schema.as_object_mut().unwrap().shift_remove("required");
        }
        request.output_schema = Some(OutputSchema {
            name: "answer".to_owned(),
            schema: schema.clone(),
        });
        let expected = json!({
            "type": "json_schema",
            "json_schema": { "name": "answer", "schema": schema, "strict": strict },
        });
        assert_eq!(sent(&request, "localhost")["response_format"], expected);
    }
}

#[test]
fn tools_and_tool_choice_are_sent() {
    let mut request = ChatRequest::new("m", Vec::new());
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    request.tools = vec![ToolSpec {
        name: "weather".to_owned(),
        description: "Tells the weather.".to_owned(),
        parameters: parameters.clone(),
    }]
    .into();
    let body = sent(&request, "localhost");
    let tool = json!({ "type": "function", "function": {
        "name": "weather", "description": "Tells the weather.", "parameters": parameters,
    } });
    assert_eq!(body["tools"], json!([tool]));
    assert_eq!(body.get("tool_choice"), None);
    assert_eq!(body.get("parallel_tool_calls"), None);
    request.parallel_tool_calls = false;
    for (choice, expected) in [
        (ToolChoice::None, json!("none")),
        (ToolChoice::Required, json!("required")),
        (
            ToolChoice::Named("weather".to_owned()),
            json!({ "type": "function", "function": { "name": "weather" } }),
        ),
    ] {
        request.tool_choice = choice;
        let body = sent(&request, "localhost");
        assert_eq!(body["tool_choice"], expected);
        assert_eq!(body["parallel_tool_calls"], false);
    }
}

/// A step in which the model has called two tools, and one of nothing but a thought.
fn step() -> ChatRequest {
    let assistant = vec![
        reasoning("Hm.", None),
        reasoning("Somebody else's.", Some("anthropic:x")),
        call("functions.weather:0", "weather", r#"{"city":"Ulm"}"#),
        call("call_2", "weather", "{\"city"),
    ];
    let tool = vec![
        result("functions.weather:0", "weather", "Sun", false),
        result("call_2", "weather", "no city", true),
    ];
    let messages = vec![
        ChatMessage::user("Weather?"),
        says(ChatRole::Assistant, assistant),
        says(ChatRole::Tool, tool),
        says(ChatRole::Assistant, vec![reasoning("Only thought.", None)]),
    ];
    ChatRequest::new("m", messages)
}

#[test]
fn calls_and_results_are_sent_back() {
    let call = |id: &str, arguments: &str| {
        json!({
            "id": id, "type": "function",
            "function": { "name": "weather", "arguments": arguments },
        })
    };
    let expected = json!([
        { "role": "user", "content": "Weather?" },
        {
            "role": "assistant", "content": null, "reasoning_content": "Hm.",
            "tool_calls": [
                call("functions.weather:0", r#"{"city":"Ulm"}"#),
                // Servers parse it, and refuse the whole history if that fails.
                call("call_2", "{}"),
            ],
        },
        { "role": "tool", "content": "Sun", "tool_call_id": "functions.weather:0" },
        { "role": "tool", "content": "no city", "tool_call_id": "call_2" },
    ]);
    assert_eq!(sent(&step(), "localhost")["messages"], expected);
    let strict = sent(&step(), "api.openai.com");
    assert_eq!(strict["messages"][1].get("reasoning_content"), None);
}

#[test]
fn mistral_receives_ids_of_nine_characters() {
    let messages = &sent(&step(), "api.mistral.ai")["messages"];
    for (call, result) in [(0, 2), (1, 3)] {
        let id = messages[1]["tool_calls"][call]["id"].as_str().unwrap();
        assert_eq!(id.len(), 9);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(messages[result]["tool_call_id"], id);
    }
}

#[test]
fn files_take_the_form_of_their_kind() {
    let content = vec![
        Content::Text("See".to_owned()),
        file("image/png", None),
        linked("image/png", "https://example.com/a.png"),
        file("application/pdf", Some("a.pdf")),
        file("audio/wav", None),
        file("text/markdown", Some("a.md")),
    ];
    let request = ChatRequest::new("m", vec![says(ChatRole::User, content)]);
    let expected = json!([
        { "type": "text", "text": "See" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,aGk=" } },
        { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
        { "type": "file", "file": {
            "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk=",
        } },
        { "type": "input_audio", "input_audio": { "data": "aGk=", "format": "wav" } },
        { "type": "text", "text": "File \"a.md\":\nhi" },
    ]);
    assert_eq!(
        sent(&request, "localhost")["messages"][0]["content"],
        expected
    );

    let messages = vec![says(ChatRole::User, vec![file("video/mp4", None)])];
    let refused = body(&ChatRequest::new("m", messages));
    assert_eq!(refused, Err(LlmError::rejected(415)));
}
