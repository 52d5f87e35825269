//! The cost of answers that break off, and of what is written to caches.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, ended_run, send, string};
use crate::support::upstream::{Script, Upstream, chunk};

const PRICES: &str = "[models.openai.prices.first]\ninput_per_million = 2.0\n\
    output_per_million = 8.0\n";
const CACHE_PRICES: &str = "[models.providers.mine.prices.first]\ninput_per_million = 2.0\n\
    cached_input_per_million = 0.2\ncache_write_1h_per_million = 5.0\noutput_per_million = 8.0\n";

/// The usage of a run.
async fn usage(client: &Client, run: &str) -> Value {
    let document = "query($id: ID!) { run(id: $id) { status usage { inputTokens outputTokens
        cachedInputTokens cacheWriteInputTokens cacheWrite1hInputTokens cost }
        session { usage { cacheWriteInputTokens cost } } } }";
    let data = client.data(document, &json!({ "id": run })).await;
    data["run"].clone()
}

async fn anthropic(setup: Setup) -> TestServer {
    let upstream = Upstream::start().await;
    let url = upstream.base_url();
    setup
        .file(CACHE_PRICES)
        .set("models.default", "mine/first")
        .set("models.providers.mine.kind", "anthropic")
        .set("models.providers.mine.base_url", &url)
        .set("models.resilience.attempts", 1)
        .start_with(upstream, "http://127.0.0.1:9/v1")
        .await
}

/// The beginning of an answer of Anthropic's: it reports what it has read first of all.
fn begun() -> Script {
    let usage = json!({ "input_tokens": 100, "cache_read_input_tokens": 1_000,
        "cache_creation_input_tokens": 500, "output_tokens": 1,
        "cache_creation": { "ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200 } });
    [
        json!({ "type": "message_start", "message": { "usage": usage } }),
        json!({ "type": "content_block_start", "index": 0,
            "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": "Yes" } }),
    ]
    .into_iter()
    .fold(Script::stream(), Script::event)
}

#[tokio::test]
async fn a_broken_answer_costs_nothing_known() {
    let setup = Setup::new()
        .file(PRICES)
        .set("models.default", "openai/first");
    let server = setup.set("models.resilience.attempts", 1).start().await;
    let client = server.client();
    let broken = Script::stream().text(["Yes"]).cut();
    server.upstream.then(broken);
    let (_, run) = send(&client, None, "Hello").await;
    assert_eq!(ended_run(&client, &run).await["status"], "FAILED");
    let used = usage(&client, &run).await;
    assert_eq!(used["usage"]["cost"], Value::Null, "{used}");
    assert_eq!(used["session"]["usage"]["cost"], Value::Null, "{used}");

    // One that never began has cost nothing.
    server.upstream.then(Script::status(400));
    let (_, run) = send(&client, None, "Hello").await;
    assert_eq!(ended_run(&client, &run).await["status"], "FAILED");
    assert_eq!(usage(&client, &run).await["usage"]["cost"], "0");
}

#[tokio::test]
async fn a_cancelled_answer_costs_nothing_known() {
    let setup = Setup::new()
        .file(PRICES)
        .set("models.default", "openai/first");
    let server = setup.start().await;
    let client = server.client();
    server.upstream.then(Script::stream().text(["Yes"]).hold());
    let (_, run) = send(&client, None, "Hello").await;
    server.upstream.wait_holding(1).await;
    let text = "query($id: ID!) { run(id: $id) { output { text } } }";
    crate::support::wait::eventually("the first token", async || {
        let data = client.data(text, &json!({ "id": run })).await;
        (data["run"]["output"]["text"] == "Yes").then_some(())
    })
    .await;
    let cancel = "mutation($id: ID!) { cancelRun(id: $id) { run { status } } }";
    client.data(cancel, &json!({ "id": run })).await;
    assert_eq!(ended_run(&client, &run).await["status"], "CANCELLED");
    let used = usage(&client, &run).await;
    assert_eq!(used["usage"]["cost"], Value::Null, "{used}");
}

#[tokio::test]
async fn a_broken_answer_costs_what_its_vendor_has_reported() {
    let server = anthropic(Setup::new()).await;
    let client = server.client();
    server.upstream.then(begun().cut());
    let (_, run) = send(&client, None, "Hello").await;
    assert_eq!(ended_run(&client, &run).await["status"], "FAILED");
    let used = usage(&client, &run).await;
    // 100 × 2 + 1,000 × 0.2 + 300 × 2.5 + 200 × 5 + 1 × 8, each of a million.
    let expected = json!({ "inputTokens": 1_600, "outputTokens": 1, "cachedInputTokens": 1_000,
        "cacheWriteInputTokens": 500, "cacheWrite1hInputTokens": 200, "cost": "0.002158" });
    assert_eq!(used["usage"], expected);
}

pub(crate) async fn cache_writes_are_stored_with_their_price(db: Arc<Database>) {
    let server = anthropic(Setup::new().on(&db)).await;
    let client = server.client();
    let ended = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" },
            "usage": { "output_tokens": 10 } }),
        json!({ "type": "message_stop" }),
    ];
    let script = ended.into_iter().fold(begun(), Script::event);
    server.upstream.then(script);
    let answer = chat(&client, None, "Hello").await;
    let run = string(&answer["run"]["id"]);
    let used = usage(&client, &run).await;
    let expected = json!({ "inputTokens": 1_600, "outputTokens": 10, "cachedInputTokens": 1_000,
        "cacheWriteInputTokens": 500, "cacheWrite1hInputTokens": 200, "cost": "0.00223" });
    assert_eq!(used["usage"], expected);
    assert_eq!(used["session"]["usage"]["cacheWriteInputTokens"], 500);
    server.stop().await;
}

/// OpenAI reports cache writes from GPT-5.6 on, over both of its protocols, as do gateways.
#[tokio::test]
async fn cache_writes_are_read_over_chat_completions() {
    for details in [
        json!({ "cached_tokens": 10, "cache_write_tokens": 50 }),
        json!({ "cached_tokens": 10, "cache_creation_tokens": 50 }),
    ] {
        let setup = Setup::new()
            .file(PRICES)
            .set("models.default", "openai/first");
        let server = setup.start().await;
        let client = server.client();
        let usage_event = json!({ "choices": [], "usage": { "prompt_tokens": 100,
            "completion_tokens": 1, "prompt_tokens_details": details } });
        let script = Script::stream()
            .event(chunk(&json!({ "content": "Yes" })))
            .event(crate::support::upstream::finish("stop"))
            .event(usage_event)
            .event("[DONE]");
        server.upstream.then(script);
        let answer = chat(&client, None, "Hello").await;
        let used = usage(&client, &string(&answer["run"]["id"])).await;
        assert_eq!(used["usage"]["cacheWriteInputTokens"], 50);
        // 50 × 2 (10 of them from the cache, at the same price) + 50 × 2.5 + 8.
        assert_eq!(used["usage"]["cost"], "0.000233");
    }
}
