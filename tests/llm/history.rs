//! What goes back of earlier answers, over real sockets: each test asks, puts the answer into the
//! next request as the server does, and looks at what is sent.

use futures_util::StreamExt;
use serde_json::{Value, json};
use talkgraph_domain::CacheTtl;
use talkgraph_llm::{
    ChatMessage, ChatModel, ChatRequest, ChatRole, Content, LlmError, Provider, ProviderKind,
    StreamPart,
};

use crate::caller::{provider, settings_of};
use crate::upstream::{Script, Upstream, chunk, finish};

/// Asks, and gives the answer as it is kept.
async fn answer(provider: &Provider, request: &ChatRequest) -> Result<ChatMessage, LlmError> {
    let mut parts = provider.stream(request.clone()).await?;
    let mut content: Vec<Content> = Vec::new();
    while let Some(part) = parts.next().await {
        match (part?, content.last_mut()) {
            (StreamPart::Text(more), Some(Content::Text(text))) => text.push_str(&more),
            (StreamPart::Text(text), _) => content.push(Content::Text(text)),
            (StreamPart::Reasoning(text), _) => content.push(Content::Reasoning {
                text,
                signature: None,
            }),
            (StreamPart::ReasoningSignature(proof), Some(Content::Reasoning { signature, .. }))
                if signature.is_none() =>
            {
                *signature = Some(proof)
            }
            (StreamPart::ReasoningSignature(proof), _) => content.push(Content::Reasoning {
                text: String::new(),
                signature: Some(proof),
            }),
            (StreamPart::ToolCallStarted { name, .. }, _) => content.push(Content::ToolCall {
                // The server's own ids.
                id: format!("tc_{}", content.len()),
                name,
                arguments: "{}".to_owned(),
            }),
            _ => {}
        }
    }
    Ok(ChatMessage {
        role: ChatRole::Assistant,
        content,
    })
}

/// The results of an answer's calls.
fn results(answer: &ChatMessage) -> ChatMessage {
    let calls = answer.content.iter().filter_map(|content| match content {
        Content::ToolCall { id, name, .. } => Some(Content::ToolResult {
            call_id: id.clone(),
            name: name.clone(),
            text: "12 o'clock".to_owned(),
            is_error: false,
        }),
        _ => None,
    });
    ChatMessage {
        role: ChatRole::Tool,
        content: calls.collect(),
    }
}

fn request(model: &str, messages: &[ChatMessage]) -> ChatRequest {
    let mut all = vec![ChatMessage::system("Today is Monday.")];
    all.extend_from_slice(messages);
    ChatRequest::new(model, all)
}

fn stream(events: &[Value]) -> Script {
    events.iter().fold(Script::stream(), Script::event)
}

/// An answer of Anthropic's that thinks and says this.
fn thinks(text: &str, signature: &str) -> Script {
    stream(&[
        json!({ "type": "content_block_start", "index": 0,
            "content_block": { "type": "thinking", "thinking": "" } }),
        json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "signature_delta", "signature": signature } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1,
            "content_block": { "type": "text", "text": text } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } }),
        json!({ "type": "message_stop" }),
    ])
}

fn refused(message: &str) -> Script {
    Script::json(400, &json!({ "error": { "message": message } }))
}

/// The signatures of the thinking in a request.
fn sent_thinking(body: &Value) -> Vec<String> {
    let blocks = body["messages"].as_array().unwrap().iter();
    let blocks = blocks.flat_map(|message| message["content"].as_array().unwrap());
    let thinking = blocks.filter(|block| block["type"] == "thinking");
    thinking
        .map(|block| block["signature"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn refused_thinking_is_left_out_once_and_for_all() {
    let upstream = Upstream::start().await;
    let claude = provider(settings_of(ProviderKind::Anthropic, upstream.base_url()));
    let mut said = vec![ChatMessage::user("Hello")];
    upstream.then(thinks("Hi", "c2ln"));
    said.push(answer(&claude, &request("claude", &said)).await.unwrap());
    said.push(ChatMessage::user("And now?"));
    upstream.then(refused(
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ));
    upstream.then(thinks("Later", "bmV3"));
    said.push(answer(&claude, &request("claude", &said)).await.unwrap());
    said.push(ChatMessage::user("And then?"));
    upstream.then(thinks("Much later", "bmV3ZXI="));
    answer(&claude, &request("claude", &said)).await.unwrap();
    let sent: Vec<_> = upstream
        .received()
        .iter()
        .map(|one| sent_thinking(&one.body))
        .collect();
    // What was refused is not tried again, and what came after it is still good.
    let expected: [&[&str]; 4] = [&[], &["c2ln"], &[], &["bmV3"]];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_call_is_repeated_once_and_only_for_its_past() {
    let upstream = Upstream::start().await;
    let claude = provider(settings_of(ProviderKind::Anthropic, upstream.base_url()));
    let message = "Invalid `signature` in `thinking` block";
    let mut said = vec![ChatMessage::user("Hello")];
    // There is no thinking that could be left out.
    upstream.then(refused(message));
    assert!(answer(&claude, &request("claude", &said)).await.is_err());
    assert_eq!(upstream.received().len(), 1);
    upstream.then(thinks("Hi", "c2ln"));
    said.push(answer(&claude, &request("claude", &said)).await.unwrap());
    said.push(ChatMessage::user("And now?"));
    upstream.then(refused(message)).then(refused(message));
    assert!(answer(&claude, &request("claude", &said)).await.is_err());
    assert_eq!(upstream.received().len(), 4);
    // Another refusal is none of the past.
    upstream.then(refused("max_tokens: too large"));
    assert!(answer(&claude, &request("claude", &said)).await.is_err());
    assert_eq!(upstream.received().len(), 5);
}

#[tokio::test]
async fn another_account_and_another_model_get_no_thinking() {
    let upstream = Upstream::start().await;
    let claude = provider(settings_of(ProviderKind::Anthropic, upstream.base_url()));
    let mut other = settings_of(ProviderKind::Anthropic, upstream.base_url());
    other.api_key = Some("sk-other".into());
    let other = provider(other);
    let mut said = vec![ChatMessage::user("Hello")];
    upstream.then(thinks("Hi", "c2ln"));
    said.push(answer(&claude, &request("claude", &said)).await.unwrap());
    said.push(ChatMessage::user("And now?"));
    for (provider, model, expected) in [
        (&claude, "claude", vec!["c2ln"]),
        (&other, "claude", vec![]),
        (&claude, "claude-2", vec![]),
    ] {
        upstream.then(thinks("Later", "bmV3"));
        answer(provider, &request(model, &said)).await.unwrap();
        let received = upstream.received();
        assert_eq!(
            sent_thinking(&received.last().unwrap().body),
            expected,
            "{model}"
        );
    }
}

/// DeepSeek and Kimi refuse calls without the reasoning that led to them, over both protocols,
/// even where there was none.
#[tokio::test]
async fn missed_reasoning_is_sent() {
    let upstream = Upstream::start().await;
    let chat = provider(settings_of(ProviderKind::OpenAi, upstream.base_url()));
    let call = json!({ "index": 0, "id": "call_0", "type": "function",
        "function": { "name": "time", "arguments": "{}" } });
    let mut said = vec![ChatMessage::user("Hello")];
    upstream.then(stream(&[
        json!({ "choices": [{ "delta": { "tool_calls": [call] } }] }),
        json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
    ]));
    let step = answer(&chat, &request("deepseek-v4-pro", &said))
        .await
        .unwrap();
    let told = results(&step);
    said.extend([step, told]);
    upstream.then(refused(
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
    ));
    upstream.then(Script::tokens(["Noon."]));
    answer(&chat, &request("deepseek-v4-pro", &said))
        .await
        .unwrap();
    let received = upstream.received();
    let last = &received.last().unwrap().body["messages"];
    assert_eq!(last[2]["reasoning_content"], " ", "{last}");
}

/// The call of an answer over Chat Completions that has these fields beside its own.
fn signed_call(fields: &Value) -> Script {
    let mut call = json!({ "index": 0, "id": "call_0", "type": "function",
        "function": { "name": "time", "arguments": "{}" } });
    let own = fields.as_object().unwrap().clone();
    call.as_object_mut().unwrap().extend(own);
    Script::stream()
        .event(chunk(&json!({ "tool_calls": [call] })))
        .event(finish("tool_calls"))
        .event("[DONE]")
}

#[tokio::test]
async fn thought_signatures_go_back_in_the_field_they_came_in() {
    let google = json!({ "extra_content": { "google": { "thought_signature": "c2ln" } } });
    let litellm = json!({ "provider_specific_fields": { "thought_signature": "c2ln" } });
    let in_id = json!({ "id": "call_0__thought__c2ln" });
    for (came, goes) in [(&google, &google), (&litellm, &litellm), (&in_id, &litellm)] {
        let upstream = Upstream::start().await;
        let chat = provider(settings_of(ProviderKind::OpenAi, upstream.base_url()));
        let mut said = vec![ChatMessage::user("Hello")];
        upstream.then(signed_call(came));
        let step = answer(&chat, &request("gemini-3.8-flash", &said))
            .await
            .unwrap();
        let told = results(&step);
        said.extend([step, told]);
        for system in ["Today is Monday.", "Today is Tuesday."] {
            upstream.then(Script::tokens(["Noon."]));
            let mut request = request("gemini-3.8-flash", &said);
            request.messages[0] = ChatMessage::system(system).into();
            answer(&chat, &request).await.unwrap();
            let received = upstream.received();
            let call = &received.last().unwrap().body["messages"][2]["tool_calls"][0];
            for (field, value) in goes.as_object().unwrap() {
                assert_eq!(&call[field], value, "{call}");
            }
        }
    }
}

/// Google's own values stand in for what another model has called.
#[tokio::test]
async fn a_missing_thought_signature_is_stood_in_for() {
    let upstream = Upstream::start().await;
    let chat = provider(settings_of(ProviderKind::OpenAi, upstream.base_url()));
    let mut said = vec![ChatMessage::user("Hello")];
    upstream.then(signed_call(&json!({})));
    let step = answer(&chat, &request("my-gemini", &said)).await.unwrap();
    let told = results(&step);
    said.extend([step, told]);
    upstream.then(refused(
        "Function call is missing a thought_signature in functionCall parts.",
    ));
    upstream.then(Script::tokens(["Noon."]));
    answer(&chat, &request("my-gemini", &said)).await.unwrap();
    let received = upstream.received();
    let call = &received.last().unwrap().body["messages"][2]["tool_calls"][0];
    let stand_in = json!({ "google": { "thought_signature": "skip_thought_signature_validator" } });
    assert_eq!(call["extra_content"], stand_in);
}

#[tokio::test]
async fn gateways_get_their_lists_back() {
    let details = json!([{ "type": "reasoning.encrypted", "data": "ZW5j", "index": 0 }]);
    let blocks = json!([{ "type": "thinking", "thinking": "Hm", "signature": "c2ln" }]);
    for (field, list) in [
        ("reasoning_details", &details),
        ("thinking_blocks", &blocks),
    ] {
        let upstream = Upstream::start().await;
        let chat = provider(settings_of(ProviderKind::OpenAi, upstream.base_url()));
        let mut said = vec![ChatMessage::user("Hello")];
        let script = Script::stream()
            .event(chunk(&json!({ field: list })))
            .text(["Hi"])
            .ended();
        upstream.then(script);
        said.push(answer(&chat, &request("large", &said)).await.unwrap());
        said.push(ChatMessage::user("And now?"));
        upstream.then(Script::tokens(["Later"]));
        answer(&chat, &request("large", &said)).await.unwrap();
        let received = upstream.received();
        let sent = &received.last().unwrap().body["messages"][2];
        assert_eq!(&sent[field], list, "{sent}");
        assert_eq!(sent["content"], "Hi");
    }
}

#[tokio::test]
async fn encrypted_reasoning_is_its_accounts() {
    let upstream = Upstream::start().await;
    let gpt = provider(settings_of(
        ProviderKind::OpenAiResponses,
        upstream.base_url(),
    ));
    let mut other = settings_of(ProviderKind::OpenAiResponses, upstream.base_url());
    other.api_key = Some("sk-other".into());
    let other = provider(other);
    let item = json!({ "type": "reasoning", "id": "rs_1", "summary": [],
        "encrypted_content": "ZW5j" });
    let script = || {
        stream(&[
            json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
            json!({ "type": "response.output_text.delta", "output_index": 1, "delta": "Hi" }),
            json!({ "type": "response.completed", "response": { "status": "completed" } }),
        ])
    };
    let mut said = vec![ChatMessage::user("Hello")];
    upstream.then(script());
    said.push(answer(&gpt, &request("gpt-6-luna", &said)).await.unwrap());
    said.push(ChatMessage::user("And now?"));
    let reasoning = || {
        let received = upstream.received();
        let input = received.last().unwrap().body["input"]
            .as_array()
            .unwrap()
            .clone();
        input
            .iter()
            .filter(|item| item["type"] == "reasoning")
            .count()
    };
    upstream.then(script());
    answer(&gpt, &request("gpt-6-luna", &said)).await.unwrap();
    assert_eq!(reasoning(), 1);
    upstream.then(script());
    answer(&other, &request("gpt-6-luna", &said)).await.unwrap();
    assert_eq!(reasoning(), 0);
    // One that is refused all the same is left out.
    upstream.then(refused("The encrypted content ZW5j could not be verified."));
    upstream.then(script());
    answer(&gpt, &request("gpt-6-luna", &said)).await.unwrap();
    assert_eq!(reasoning(), 0);
}

#[tokio::test]
async fn prompts_are_cached_for_as_long_as_is_set() {
    for (ttl, expected) in [
        (CacheTtl::FiveMinutes, json!({ "type": "ephemeral" })),
        (CacheTtl::Hour, json!({ "type": "ephemeral", "ttl": "1h" })),
        (CacheTtl::Off, Value::Null),
    ] {
        let upstream = Upstream::start().await;
        let mut settings = settings_of(ProviderKind::Anthropic, upstream.base_url());
        settings.cache_ttl = ttl;
        upstream.then(thinks("Hi", "c2ln"));
        let said = [ChatMessage::user("Hello")];
        answer(&provider(settings), &request("claude", &said))
            .await
            .unwrap();
        let body = &upstream.received()[0].body;
        assert_eq!(body["system"][0]["cache_control"], expected);
        assert_eq!(body["messages"][0]["content"][0]["cache_control"], expected);
    }
}
