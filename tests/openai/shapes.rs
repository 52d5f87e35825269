//! The streams of different providers, split at every byte.

use talkgraph::domain::{FinishReason, Usage};

use crate::caller::{Answer, call, provider, settings, tokens};
use crate::upstream::{Script, Upstream};

/// Every fixture says the same; they differ in shape, and in what they count.
async fn fixture(name: &str, reasoning: &str, finish: FinishReason, usage: Usage) {
    let path = format!("{}/tests/fixtures/{name}.sse", env!("CARGO_MANIFEST_DIR"));
    let stream = std::fs::read(path).unwrap();
    let expected = Answer {
        text: "Grüß \"dich\"\n🦀".to_owned(),
        reasoning: reasoning.to_owned(),
        usage: Some(usage),
        finish: Some(finish),
        error: None,
    };
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    for at in 0..stream.len() {
        let script = Script::stream().bytes(stream.as_slice()).split_at([at]);
        upstream.then(script);
        assert_eq!(call(&provider).await, expected, "{name} split at {at}");
    }
    upstream.then(
        Script::stream()
            .bytes(stream.as_slice())
            .split_at(1..stream.len()),
    );
    assert_eq!(call(&provider).await, expected, "{name} byte by byte");
}

#[tokio::test]
async fn openais_stream_is_read_however_it_is_split() {
    let usage = Usage {
        cached_input_tokens: 16,
        reasoning_tokens: 4,
        ..tokens(19, 10)
    };
    fixture("openai", "", FinishReason::Stop, usage).await;
}

#[tokio::test]
async fn vllms_stream_is_read_however_it_is_split() {
    fixture("vllm", "Hm", FinishReason::Length, tokens(19, 10)).await;
}

#[tokio::test]
async fn ollamas_stream_is_read_however_it_is_split() {
    fixture("ollama", "Hm", FinishReason::Stop, tokens(19, 10)).await;
}

#[tokio::test]
async fn deepseeks_stream_is_read_however_it_is_split() {
    let usage = Usage {
        cached_input_tokens: 16,
        reasoning_tokens: 4,
        ..tokens(19, 10)
    };
    fixture("deepseek", "Hm", FinishReason::Stop, usage).await;
}
