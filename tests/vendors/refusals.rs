//! Each rule refuses what it names, and nothing that is like it.

use serde_json::{Value, json};

use crate::support::strict::asked::Asked;
use crate::support::strict::rules::{Protocol, Rule, rules};
use crate::support::strict::{self, RULE, binding, play};
use crate::support::upstream::Received;

/// A request of a protocol with this body.
fn request(protocol: Protocol, body: Value, key: &str) -> Received {
    let model = body["model"].as_str().unwrap_or_default();
    // Gemini has the model in the path.
    let path = match protocol {
        Protocol::Chat => "/v1/chat/completions".to_owned(),
        Protocol::Responses => "/v1/responses".to_owned(),
        Protocol::Anthropic => "/v1/messages".to_owned(),
        Protocol::Gemini => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
    };
    Received {
        line: format!("POST {path}"),
        headers: vec![("authorization".to_owned(), key.to_owned())],
        body,
    }
}

/// The smallest body of a protocol.
fn smallest(protocol: Protocol) -> Value {
    let user = json!([{ "role": "user", "content": "Hi" }]);
    match protocol {
        Protocol::Chat => json!({ "model": "gpt-4o", "messages": user }),
        Protocol::Responses => json!({ "model": "gpt-4o", "input": user }),
        Protocol::Anthropic => {
            json!({ "model": "claude-opus-5-5", "max_tokens": 1000, "messages": user })
        }
        Protocol::Gemini => json!({ "model": "gemini-4-argon",
            "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] }),
    }
}

/// The body of an example: the smallest one with what the example adds; `false` takes away.
fn example(rule: &Rule, added: &Value) -> Value {
    let mut body = smallest(rule.protocol);
    if let Some(model) = rule.models.first() {
        body["model"] = model.trim_end_matches('*').into();
    }
    for (name, value) in added.as_object().unwrap() {
        match value {
            Value::Bool(false) => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

/// The name of the first rule that a request breaks.
fn broken(request: &Received) -> Option<&'static str> {
    let asked = Asked::read(request).unwrap();
    let rule = rules().iter().find(|rule| rule.broken_by(&asked).is_some());
    rule.map(|rule| rule.name.as_str())
}

#[test]
fn each_rule_refuses_its_example_and_takes_the_like() {
    let mut wrong = Vec::new();
    let mut expect = |rule: &Rule, body: Value, expected: Option<&str>| {
        let request = request(rule.protocol, body, "key");
        let found = broken(&request);
        if found != expected {
            wrong.push(format!("{}: {found:?}: {}", rule.name, request.body));
        }
    };
    for rule in rules() {
        assert!(rule.source.starts_with("https://"), "{}", rule.name);
        if let Some(refuses) = &rule.refuses {
            expect(rule, example(rule, refuses), Some(&rule.name));
        }
        if let Some(takes) = &rule.takes {
            expect(rule, example(rule, takes), None);
        }
        assert!(
            rule.refuses.is_some() || rule.check.is_some(),
            "{}",
            rule.name
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_smallest_bodies_are_taken() {
    for protocol in [
        Protocol::Chat,
        Protocol::Responses,
        Protocol::Anthropic,
        Protocol::Gemini,
    ] {
        assert_eq!(broken(&request(protocol, smallest(protocol), "key")), None);
    }
}

/// A body after one answer with thinking, and the index of its thinking block.
fn after_thinking() -> Value {
    let mut body = smallest(Protocol::Anthropic);
    body["system"] = json!([{ "type": "text", "text": "Be brief." }]);
    body["tools"] = json!([{ "name": "f", "input_schema": { "type": "object" } }]);
    let first = request(Protocol::Anthropic, body.clone(), "key");
    let signature = binding::thinking(&Asked::read(&first).unwrap(), "Hm");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": [
        { "type": "thinking", "thinking": "Hm", "signature": signature },
        { "type": "text", "text": "Hello." },
    ] }));
    messages.push(json!({ "role": "user", "content": [
        { "type": "text", "text": "And?", "cache_control": { "type": "ephemeral" } }] }));
    body
}

#[test]
fn thinking_is_bound_to_all_before_it() {
    let rule = Some("anthropic: changed or foreign thinking");
    let body = after_thinking();
    assert_eq!(
        broken(&request(Protocol::Anthropic, body.clone(), "key")),
        None
    );
    assert_eq!(
        broken(&request(Protocol::Anthropic, body.clone(), "another")),
        rule
    );
    for (path, value) in [
        ("/system/0/text", json!("Be long.")),
        ("/tools/0/name", json!("g")),
        ("/messages/0/content", json!("Ho")),
        ("/messages/1/content/0/thinking", json!("Hmm")),
        ("/messages/1/content/0/signature", json!("x")),
    ] {
        let mut changed = body.clone();
        *changed.pointer_mut(path).unwrap() = value;
        assert_eq!(
            broken(&request(Protocol::Anthropic, changed, "key")),
            rule,
            "{path}"
        );
    }
    // The cache's marks are no part of it, nor is what comes later.
    let mut marked = body.clone();
    marked["system"][0]["cache_control"] = json!({ "type": "ephemeral" });
    marked["messages"][2]["content"][0]["text"] = json!("More?");
    assert_eq!(broken(&request(Protocol::Anthropic, marked, "key")), None);
    // What another model has thought is dropped.
    let mut switched = body;
    switched["model"] = json!("claude-haiku-5-5");
    assert_eq!(broken(&request(Protocol::Anthropic, switched, "key")), None);
}

#[test]
fn a_thought_signature_comes_back_with_its_call() {
    let mut body = smallest(Protocol::Gemini);
    let first = request(Protocol::Gemini, body.clone(), "key");
    let signature = binding::thought(&Asked::read(&first).unwrap(), "f");
    let contents = body["contents"].as_array_mut().unwrap();
    contents.push(json!({ "role": "model", "parts": [
        { "functionCall": { "name": "f", "args": {} }, "thoughtSignature": signature },
        { "functionCall": { "name": "f", "args": {} } },
    ] }));
    let response = json!({ "functionResponse": { "name": "f", "response": {} } });
    contents.push(json!({ "role": "user", "parts": [response, response] }));
    let send = |body: &Value, key: &str| broken(&request(Protocol::Gemini, body.clone(), key));
    assert_eq!(send(&body, "key"), None);
    assert_eq!(
        send(&body, "another"),
        Some("gemini: foreign thought signature")
    );

    let mut unsigned = body.clone();
    let part = unsigned["contents"][1]["parts"][0].as_object_mut().unwrap();
    part.remove("thoughtSignature");
    assert_eq!(
        send(&unsigned, "key"),
        Some("gemini: call without its thought signature")
    );
    // Of earlier turns none is missed.
    let contents = unsigned["contents"].as_array_mut().unwrap();
    contents.push(json!({ "role": "model", "parts": [{ "text": "Done." }] }));
    contents.push(json!({ "role": "user", "parts": [{ "text": "And?" }] }));
    assert_eq!(send(&unsigned, "key"), None);

    body["contents"][2]["parts"].as_array_mut().unwrap().pop();
    assert_eq!(
        send(&body, "key"),
        Some("gemini: calls and results that differ in number")
    );
}

#[test]
fn encrypted_reasoning_belongs_to_its_organisation_and_item() {
    let mut body = smallest(Protocol::Responses);
    body["model"] = json!("gpt-6.1-sol");
    let first = request(Protocol::Responses, body.clone(), "key");
    let encrypted = binding::encrypted(&Asked::read(&first).unwrap(), "call_1");
    let input = body["input"].as_array_mut().unwrap();
    input.push(json!({ "type": "reasoning", "id": "rs_1", "summary": [],
        "encrypted_content": encrypted }));
    input.push(
        json!({ "type": "function_call", "call_id": "call_1", "name": "f",
        "arguments": "{}" }),
    );
    input.push(json!({ "type": "function_call_output", "call_id": "call_1", "output": "x" }));
    let send = |body: &Value, key: &str| broken(&request(Protocol::Responses, body.clone(), key));
    assert_eq!(send(&body, "key"), None);
    assert_eq!(
        send(&body, "another"),
        Some("responses: reasoning of another organisation")
    );
    body["input"].as_array_mut().unwrap().truncate(2);
    assert_eq!(
        send(&body, "key"),
        Some("responses: reasoning without what follows it")
    );
}

#[test]
fn a_model_does_as_the_person_says() {
    let mut body = smallest(Protocol::Chat);
    body["messages"][0]["content"] = json!("Please\ncall f {\"a\":1}\nthank you");
    body["tools"] = json!([{ "type": "function", "function": { "name": "f",
        "parameters": { "type": "object", "properties": {} } } }]);
    let played = |body: &Value| {
        let request = request(Protocol::Chat, body.clone(), "key");
        play::play(&Asked::read(&request).unwrap())
    };
    let call = play::Block::Call {
        name: "f".to_owned(),
        arguments: json!({ "a": 1 }),
    };
    assert_eq!(played(&body), [call]);
    body["messages"] = json!([
        { "role": "system", "content": "Answer.\nIt must be valid against this JSON Schema:\n\
            {\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":3}}}" },
        { "role": "user", "content": "Hi" },
    ]);
    assert_eq!(played(&body), [play::Block::Text("{\"n\":3}".to_owned())]);
}

#[tokio::test]
async fn a_refusal_has_the_vendors_form() {
    let upstream = strict::start().await;
    let mut body = smallest(Protocol::Anthropic);
    body["temperature"] = json!(0.3);
    let http = crate::support::client::http();
    let url = format!("{}/messages", upstream.base_url());
    let refused = http.post(url).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.headers()[RULE], "anthropic: temperature");
    let refused: Value = refused.json().await.unwrap();
    let error = json!({ "type": "invalid_request_error",
        "message": "`temperature` is deprecated for this model." });
    assert_eq!(refused["error"], error);
    assert_eq!(strict::broken(&upstream).len(), 1);
}
