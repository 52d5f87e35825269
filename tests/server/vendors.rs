//! Providers of every kind, named in the settings.

use serde_json::{Value, json};

use crate::support::process::{program, run};
use crate::support::server::Setup;
use crate::support::talk::chat;
use crate::support::upstream::{Script, Upstream};

/// A stream of this vendor's that thinks, says `Fine.` and counts 20 and 5 tokens, 4 of
/// them of thought and 16 of them read from a cache.
pub(crate) fn answer(kind: &str) -> Vec<Value> {
    match kind {
        "openai" => vec![
            json!({ "choices": [{ "delta": { "reasoning_content": "Hm" } }] }),
            json!({ "choices": [{ "delta": { "content": "Fine." }, "finish_reason": "stop" }],
                "usage": { "prompt_tokens": 20, "completion_tokens": 5,
                    "prompt_tokens_details": { "cached_tokens": 16 },
                    "completion_tokens_details": { "reasoning_tokens": 4 } } }),
        ],
        "openai-responses" => vec![
            json!({ "type": "response.reasoning_summary_text.delta", "delta": "Hm" }),
            json!({ "type": "response.output_text.delta", "output_index": 1, "delta": "Fine." }),
            json!({ "type": "response.completed", "response": { "status": "completed",
                "usage": { "input_tokens": 20, "output_tokens": 5,
                    "input_tokens_details": { "cached_tokens": 16 },
                    "output_tokens_details": { "reasoning_tokens": 4 } } } }),
        ],
        "anthropic" => vec![
            json!({ "type": "message_start", "message": { "usage": {
                "input_tokens": 4, "cache_read_input_tokens": 16, "output_tokens": 1 } } }),
            json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "thinking_delta", "thinking": "Hm" } }),
            json!({ "type": "content_block_delta", "index": 1,
                "delta": { "type": "text_delta", "text": "Fine." } }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": {
                "output_tokens": 5, "output_tokens_details": { "thinking_tokens": 4 } } }),
            json!({ "type": "message_stop" }),
        ],
        _ => vec![
            json!({ "candidates": [{ "content": { "parts": [{ "text": "Hm", "thought": true }] } }] }),
            json!({ "candidates": [{ "content": { "parts": [{ "text": "Fine." }] },
                    "finishReason": "STOP" }],
                "usageMetadata": { "promptTokenCount": 20, "cachedContentTokenCount": 16,
                    "candidatesTokenCount": 1, "thoughtsTokenCount": 4 } }),
        ],
    }
}

#[tokio::test]
async fn a_provider_of_every_kind_answers_under_its_name() {
    for (kind, path) in [
        ("openai", "/v1/chat/completions"),
        ("openai-responses", "/v1/responses"),
        ("anthropic", "/v1/messages"),
        ("gemini", "/v1/models/large:streamGenerateContent?alt=sse"),
    ] {
        let upstream = Upstream::start().await;
        let script = answer(kind)
            .into_iter()
            .fold(Script::stream(), Script::event);
        upstream.then(script);
        let url = upstream.base_url();
        let server = Setup::new()
            .set("models.default", "mine/large")
            .set("models.providers.mine.kind", kind)
            .set("models.providers.mine.base_url", &url)
            .set("models.providers.mine.api_key", "my-own-key")
            .start_with(upstream, "http://127.0.0.1:9/v1")
            .await;
        let answer = chat(&server.client(), None, "How are you?").await;
        assert_eq!(answer["run"]["status"], "COMPLETED", "{kind}: {answer}");
        assert_eq!(answer["message"]["text"], "Fine.", "{kind}");

        let document = "query($id: ID!) { run(id: $id) { model finishReason usage {
            inputTokens outputTokens cachedInputTokens reasoningTokens } } }";
        let id = json!({ "id": answer["run"]["id"] });
        let data = server.client().data(document, &id).await;
        let expected = json!({
            "model": "mine/large", "finishReason": "STOP",
            "usage": { "inputTokens": 20, "outputTokens": 5,
                "cachedInputTokens": 16, "reasoningTokens": 4 },
        });
        assert_eq!(data["run"], expected, "{kind}");

        let received = &server.upstream.received()[0];
        assert_eq!(received.line, format!("POST {path}"));
        let keys = received
            .headers
            .iter()
            .filter(|(_, value)| value.contains("my-own-key"));
        assert_eq!(keys.count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_called_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, named) in [
        (
            vec![
                ("models.providers.mine.kind", "openai"),
                ("models.providers.mine.base_url", "x"),
            ],
            "models.providers.mine.base_url: the base URL",
        ),
        (
            vec![("models.gemini.base_url", "ftp://x")],
            "models.gemini.base_url: the base URL",
        ),
        (
            vec![("models.providers.mine.kind", "cohere")],
            "models.providers.mine.kind",
        ),
        (
            vec![("models.providers.mine.url", "x")],
            "models.providers.mine",
        ),
        (
            vec![("models.providers.openai.kind", "openai")],
            "models.providers.openai",
        ),
    ] {
        let refused = run(program(folder.path(), &[], &settings)).await;
        assert_eq!(refused.code, 1, "{settings:?}");
        assert!(
            refused.stderr.contains(named),
            "{named}: {}",
            refused.stderr
        );
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
}
