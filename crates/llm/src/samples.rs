//! Requests for the tests of every vendor.

use serde_json::json;

use super::signed_reasoning::{Past, Prefix, Signer};
use super::{
    ChatMessage, ChatRequest, ChatRole, Content, FileData, OutputSchema, Sampling, ToolChoice,
    ToolSpec,
};

pub(super) fn says(role: ChatRole, content: Vec<Content>) -> ChatMessage {
    ChatMessage { role, content }
}

pub(super) fn reasoning(text: &str, signature: Option<&str>) -> Content {
    Content::Reasoning {
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    }
}

/// The model of [`everything`].
pub(super) const MODEL: &str = "model-1";

/// A reasoning that is sent back with requests of [`MODEL`].
pub(super) fn signed(text: &str, signer: &'static str, proof: &str) -> Content {
    let bindings = Prefix::new(&Past::default(), MODEL).bindings();
    let signature = bindings.signature(Signer::of_account(signer), proof);
    reasoning(text, Some(&signature))
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> Content {
    Content::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

pub(super) fn result(call_id: &str, name: &str, text: &str, is_error: bool) -> Content {
    Content::ToolResult {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        text: text.to_owned(),
        is_error,
    }
}

pub(super) fn file(media_type: &str, name: Option<&str>) -> Content {
    Content::File {
        media_type: media_type.to_owned(),
        data: FileData::Base64("aGk=".to_owned()),
        name: name.map(str::to_owned),
    }
}

pub(super) fn linked(media_type: &str, url: &str) -> Content {
    Content::File {
        media_type: media_type.to_owned(),
        data: FileData::Url(url.to_owned()),
        name: None,
    }
}

/// Two tools, one of them without parameters.
pub(super) fn tools() -> Vec<ToolSpec> {
    let city = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": { "city": { "type": "string" } },
    });
    let tool = |name: &str, description: &str, parameters| ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters,
    };
    vec![
        tool("weather", "Tells the weather.", city),
        tool(
            "time",
            "Tells the time.",
            json!({ "type": "object", "properties": {} }),
        ),
    ]
}

/// A schema that can be enforced.
pub(super) fn closed() -> OutputSchema {
    OutputSchema {
        name: "answer".to_owned(),
        schema: json!({
            "type": "object", "required": ["text"], "additionalProperties": false,
            "properties": { "text": { "type": "string" } },
        }),
    }
}

/// A schema that cannot be enforced: it allows more properties than it names.
pub(super) fn open() -> OutputSchema {
    OutputSchema {
        schema: json!({
            "type": "object", "additionalProperties": true,
            "properties": { "text": { "type": "string" } },
        }),
        ..closed()
    }
}

/// A request with everything: a person's files, thoughts of every vendor, two calls and their
/// results, and all parameters.
pub(super) fn everything() -> ChatRequest {
    let question = vec![
        Content::Text("What is the weather where this was taken?".to_owned()),
        file("image/png", None),
        linked("image/jpeg", "https://example.com/a.jpg"),
        file("application/pdf", Some("a.pdf")),
        file("text/plain", Some("a.txt")),
    ];
    let step = vec![
        reasoning("Unsigned thought.", None),
        signed("Claude's thought.", "anthropic", "c2ln"),
        signed("", "anthropic-redacted", "aGlkZGVu"),
        signed("GPT's thought.", "responses", "rs_1:ZW5j"),
        reasoning("Gemini's thought.", None),
        signed("", "gemini", "dGhvdWdodA=="),
        Content::Text("I will look.".to_owned()),
        call("functions.weather:0", "weather", r#"{"city":"Ulm"}"#),
        call("call_2", "time", ""),
    ];
    let results = vec![
        result("functions.weather:0", "weather", "Sun", false),
        result("call_2", "time", "the clock is broken", true),
    ];
    ChatRequest {
        sampling: Sampling {
            temperature: Some(1.5),
            top_p: Some(0.9),
            seed: Some(7),
        },
        max_output_tokens: Some(64),
        tools: tools().into(),
        tool_choice: ToolChoice::Required,
        parallel_tool_calls: false,
        ..ChatRequest::new(
            MODEL,
            vec![
                ChatMessage::system("Be brief."),
                says(ChatRole::User, question),
                says(ChatRole::Assistant, step),
                says(ChatRole::Tool, results),
                ChatMessage::assistant("It is sunny."),
                ChatMessage::user("And the time?"),
            ],
        )
    }
}
