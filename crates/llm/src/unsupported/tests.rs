#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::change_for;
use crate::provider_error::ProviderError;

fn chat() -> Value {
    json!({
        "model": "m", "messages": [
            { "role": "user", "content": "seed" },
            { "role": "assistant", "content": "x", "reasoning_content": "y" },
        ],
        "stream": true, "stream_options": { "include_usage": true },
        "temperature": 0.3, "top_p": 0.5, "seed": 1, "max_tokens": 10, "reasoning_effort": "low",
        "tools": [{ "type": "function", "function": { "name": "t", "strict": false,
            "parameters": { "type": "object", "properties": { "strict": {} } } } }],
        "tool_choice": "required", "response_format": { "type": "json_schema" },
    })
}

fn found(status: u16, error: &Value, body: &Value) -> Option<String> {
    let fault = ProviderError::of_body(error.to_string().as_bytes());
    change_for(status, &fault, body, body.get("model").is_some()).map(|change| {
        let mut changed = body.clone();
        assert!(change.apply(&mut changed), "{change}");
        assert_ne!(&changed, body);
        change.to_string()
    })
}

#[test]
fn refused_parameters_are_recognised_in_every_vendors_words() {
    let openai = |param: &str, code: &str, message: &str| {
        json!({ "error": { "message": message, "type": "invalid_request_error",
            "param": param, "code": code } })
    };
    let message = |message: &str| json!({ "error": { "message": message } });
    for (error, parameter) in [
        (
            openai(
                "temperature",
                "unsupported_value",
                "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.",
            ),
            "temperature",
        ),
        (
            openai(
                "max_tokens",
                "unsupported_parameter",
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            ),
            "max_tokens (sent as max_completion_tokens)",
        ),
        (
            openai(
                "tools[0].function.strict",
                "unknown_parameter",
                "Unknown parameter: 'tools[0].function.strict'.",
            ),
            "tools.*.function.strict",
        ),
        (
            message("Unrecognized request argument supplied: stream_options"),
            "stream_options",
        ),
        // Azure, older versions of its API
        (
            message("Unrecognized request arguments supplied: seed, stream_options"),
            "seed",
        ),
        // LiteLLM
        (
            message(
                "litellm.UnsupportedParamsError: ollama does not support parameters: ['reasoning_effort'], for model=x. To drop these, set `litellm.drop_params=True`",
            ),
            "reasoning_effort",
        ),
        (
            message(
                "gpt-5 models (including gpt-5-codex) don't support temperature=0.3. Only temperature=1 is supported.",
            ),
            "temperature",
        ),
        // Anthropic
        (
            message("`temperature` is deprecated for this model."),
            "temperature",
        ),
        (
            message(
                "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            ),
            "top_p",
        ),
        (message("seed: Extra inputs are not permitted"), "seed"),
        // Groq
        (
            message(
                "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1.reasoning_content' : property 'reasoning_content' is unsupported)]",
            ),
            "messages.*.reasoning_content",
        ),
        // Servers in Rust
        (
            message(
                "Failed to deserialize the JSON body into the target type: unknown field `seed`, expected one of `model`",
            ),
            "seed",
        ),
    ] {
        assert_eq!(
            found(400, &error, &chat()).as_deref(),
            Some(parameter),
            "{error}"
        );
    }
}

#[test]
fn fields_that_a_servers_check_refuses_are_recognised() {
    for (error, parameter) in [
        // vLLM
        (
            json!({ "object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted', 'input': {'include_usage': True}}]", "type": "BadRequestError", "param": null, "code": 400 }),
            "stream_options",
        ),
        // FastAPI, and Mistral
        (
            json!({ "detail": [{ "type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted" }] }),
            "stream_options",
        ),
        (
            json!({ "object": "error", "type": "invalid_request_error", "message": { "detail": [{ "type": "extra_forbidden", "loc": ["body", "messages", 1, "assistant", "reasoning_content"], "msg": "Extra inputs are not permitted" }] } }),
            "messages.*.reasoning_content",
        ),
    ] {
        assert_eq!(
            found(400, &error, &chat()).as_deref(),
            Some(parameter),
            "{error}"
        );
    }
}

#[test]
fn parameters_of_other_protocols_are_recognised() {
    let message = |message: &str| json!({ "error": { "message": message } });
    let gemini = json!({ "contents": [], "generationConfig": {
        "temperature": 0.3, "seed": 1, "maxOutputTokens": 9,
        "thinkingConfig": { "includeThoughts": true } } });
    let responses = json!({ "input": [], "reasoning": { "effort": "low", "summary": "auto" },
        "text": { "verbosity": "low" }, "include": ["reasoning.encrypted_content"] });
    let anthropic = json!({ "system": [{ "type": "text", "text": "x", "cache_control": {} }],
        "messages": [], "max_tokens": 9, "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "output_config": { "effort": "low", "format": {} } });
    for (body, error, parameter) in [
        (
            &gemini,
            "Invalid JSON payload received. Unknown name \"thinkingConfig\" at 'generation_config': Cannot find field.",
            "generationConfig.thinkingConfig",
        ),
        (
            &gemini,
            "Unknown name \"seed\" at 'generation_config': Cannot find field.",
            "generationConfig.seed",
        ),
        (
            &responses,
            "Unsupported parameter: 'reasoning.summary' is not supported with this model.",
            "reasoning.summary",
        ),
        (
            &responses,
            "Unsupported parameter: 'text.verbosity' is not supported with this model.",
            "text.verbosity",
        ),
        (
            &responses,
            "Unsupported parameter: 'include' is not supported.",
            "include",
        ),
        (
            &anthropic,
            "system.0.text.cache_control: Extra inputs are not permitted",
            "system.*.cache_control",
        ),
        (
            &anthropic,
            "thinking.enabled.budget_tokens: Extra inputs are not permitted",
            "thinking",
        ),
        (
            &anthropic,
            "output_config.effort: Extra inputs are not permitted",
            "output_config.effort",
        ),
    ] {
        assert_eq!(
            found(400, &message(error), body).as_deref(),
            Some(parameter),
            "{error}"
        );
    }
    let mut changed = responses.clone();
    let fault = ProviderError::of_body(
        message("'text.verbosity' is not supported")
            .to_string()
            .as_bytes(),
    );
    change_for(400, &fault, &responses, false)
        .unwrap()
        .apply(&mut changed);
    assert_eq!(changed.get("text"), None, "nothing is left in it");
}

#[test]
fn parameters_of_the_question_are_never_left_out() {
    let refused = |param: &str| {
        let message = format!("Unsupported parameter: '{param}' is not supported with this model.");
        json!({ "error": { "message": message, "param": param, "code": "unsupported_parameter" } })
    };
    for parameter in [
        "model",
        "messages",
        "messages[0].content",
        "messages[0]",
        "tools",
        "tools[0]",
        "tools[0].function.parameters.properties.strict",
        "tool_choice",
        "response_format",
        "response_format.json_schema",
        "stream",
        "n",
        "unknown",
    ] {
        assert_eq!(
            found(400, &refused(parameter), &chat()),
            None,
            "{parameter}"
        );
    }
    let anthropic = json!({ "max_tokens": 9, "system": [], "output_config": { "format": {} } });
    for parameter in [
        "system",
        "output_config",
        "output_config.format",
        "max_tokens",
    ] {
        assert_eq!(
            found(400, &refused(parameter), &anthropic),
            None,
            "{parameter}"
        );
    }
    // Other statuses, and other errors.
    assert_eq!(found(404, &refused("seed"), &chat()), None);
    let wrong = json!({ "error": { "message": "'temperature' must be at most 2", "param": "temperature", "code": "invalid_value" } });
    assert_eq!(found(400, &wrong, &chat()), None);
    let mut both = chat();
    both["max_completion_tokens"] = 10.into();
    assert_eq!(found(400, &refused("max_tokens"), &both), None);
}

proptest! {
    #[test]
    fn any_text_of_a_server_is_handled(message in ".{0,200}", param in "[a-z.\\[\\]0-9_]{0,40}") {
        let error = json!({ "error": {
            "message": format!("unsupported {message}"), "param": param, "code": "unsupported_value",
        } });
        if let Some(change) = change_for(400, &ProviderError::of_body(error.to_string().as_bytes()), &chat(), true) {
            let mut body = chat();
            change.apply(&mut body);
            for kept in ["model", "tool_choice", "response_format", "stream"] {
                prop_assert_eq!(&body[kept], &chat()[kept]);
            }
            prop_assert_eq!(&body["messages"][0], &chat()["messages"][0]);
            prop_assert_eq!(&body["messages"][1]["content"], &chat()["messages"][1]["content"]);
        }
    }
}
