//! The streams of different providers, split at every byte.

use talkgraph_domain::{FinishReason, Usage};
use talkgraph_llm::ProviderKind;

use crate::caller::{Answer, Call, call, provider, settings, settings_of, tokens};
use crate::upstream::{Script, Upstream};

/// A recorded stream.
pub fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.sse", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// Plays a recorded stream in pieces of every size up to this, from a byte on.
const PIECES: usize = 40;

/// Plays a recorded stream cut into pieces, of one byte and of more.
pub async fn replay(kind: ProviderKind, name: &str, expected: &Answer) {
    let stream = recorded(name);
    let upstream = Upstream::start().await;
    let provider = provider(settings_of(kind, upstream.base_url()));
    for size in 1..=PIECES {
        let places = (size..stream.len()).step_by(size);
        upstream.then(Script::stream().bytes(stream.as_slice()).split_at(places));
        assert_eq!(
            &call(&provider).await,
            expected,
            "{name} in pieces of {size}"
        );
    }
}

/// Plays a recorded stream in two pieces, cut at every place there is.
async fn replay_in_two(name: &str, expected: &Answer) {
    let stream = recorded(name);
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    for at in 0..stream.len() {
        let script = Script::stream().bytes(stream.as_slice()).split_at([at]);
        upstream.then(script);
        assert_eq!(&call(&provider).await, expected, "{name} split at {at}");
    }
}

/// These fixtures say the same; they differ in shape, and in what they count.
async fn text(name: &str, reasoning: &str, finish: FinishReason, usage: Usage) {
    let expected = Answer {
        text: "Grüß \"dich\"\n🦀".to_owned(),
        reasoning: reasoning.to_owned(),
        usage: Some(usage),
        finish: Some(finish),
        ..Answer::default()
    };
    replay_in_two(name, &expected).await;
    replay(ProviderKind::OpenAi, name, &expected).await;
}

/// These call a tool, after some thought.
async fn tools(name: &str, reasoning: &str, calls: Vec<Call>, usage: Usage) {
    let expected = Answer {
        reasoning: reasoning.to_owned(),
        calls,
        usage: Some(usage),
        finish: Some(FinishReason::ToolCalls),
        ..Answer::default()
    };
    replay(ProviderKind::OpenAi, name, &expected).await;
}

fn with_details(usage: Usage, cached_input_tokens: u64, reasoning_tokens: u64) -> Usage {
    Usage {
        cached_input_tokens,
        reasoning_tokens,
        ..usage
    }
}

#[tokio::test]
async fn openais_stream_is_read_however_it_is_split() {
    let usage = with_details(tokens(19, 10), 16, 4);
    text("openai", "", FinishReason::Stop, usage).await;
}

#[tokio::test]
async fn vllms_stream_is_read_however_it_is_split() {
    text("vllm", "Hm", FinishReason::Length, tokens(19, 10)).await;
}

#[tokio::test]
async fn ollamas_stream_is_read_however_it_is_split() {
    text("ollama", "Hm", FinishReason::Stop, tokens(19, 10)).await;
}

#[tokio::test]
async fn deepseeks_stream_is_read_however_it_is_split() {
    let usage = with_details(tokens(19, 10), 16, 4);
    text("deepseek", "Hm", FinishReason::Stop, usage).await;
}

#[tokio::test]
async fn openais_calls_are_read_however_they_are_split() {
    let calls = vec![
        Call::complete(
            "call_DdmO9pD3xa9XTPNJ32zg2hcA",
            "weather",
            r#"{"city":"Zürich 🦀"}"#,
        ),
        Call::complete("call_Ck3BxQ0yV4iW8eL6mT7sRz1f", "time", "{}"),
    ];
    let usage = with_details(tokens(82, 34), 64, 0);
    tools("openai_tools", "", calls, usage).await;
}

/// One call, with its arguments as this server spaces them.
fn weather(id: &str, arguments: &str) -> Vec<Call> {
    vec![Call::complete(id, "weather", arguments)]
}

const CLOSE: &str = r#"{"city":"Zürich 🦀"}"#;
const SPACED: &str = r#"{"city": "Zürich 🦀"}"#;

#[tokio::test]
async fn vllms_calls_are_read_however_they_are_split() {
    let calls = weather("chatcmpl-tool-5e", SPACED);
    tools("vllm_tools", "Hm", calls, tokens(82, 34)).await;
}

#[tokio::test]
async fn ollamas_calls_are_read_however_they_are_split() {
    let mut calls = weather("call_a1", CLOSE);
    calls.push(Call::complete("call_b2", "weather", r#"{"city":"Ulm"}"#));
    tools("ollama_tools", "Hm", calls, tokens(82, 34)).await;
}

#[tokio::test]
async fn llama_cpps_calls_are_read_however_they_are_split() {
    let usage = with_details(tokens(82, 34), 64, 0);
    tools("llamacpp_tools", "Hm", weather("rT5u", CLOSE), usage).await;
}

#[tokio::test]
async fn groqs_calls_are_read_however_they_are_split() {
    let usage = with_details(tokens(82, 34), 64, 4);
    tools("groq_tools", "Hm", weather("fc_7a", CLOSE), usage).await;
}

#[tokio::test]
async fn openrouters_calls_are_read_however_they_are_split() {
    let details = r#"[{"type":"reasoning.text","text":"Hm","format":"anthropic-claude-v1","index":0,"signature":"EqQB"}]"#;
    let expected = Answer {
        reasoning: "Hm".to_owned(),
        signatures: vec![format!("openrouter:{details}")],
        calls: weather("toolu_01V", SPACED),
        usage: Some(with_details(tokens(82, 34), 64, 4)),
        finish: Some(FinishReason::ToolCalls),
        ..Answer::default()
    };
    replay(ProviderKind::OpenAi, "openrouter_tools", &expected).await;
}

#[tokio::test]
async fn mistrals_calls_are_read_however_they_are_split() {
    let usage = with_details(tokens(82, 34), 64, 0);
    tools("mistral_tools", "Hm", weather("D681PevKs", SPACED), usage).await;
}

#[tokio::test]
async fn deepseeks_calls_are_read_however_they_are_split() {
    let usage = with_details(tokens(82, 34), 64, 4);
    tools("deepseek_tools", "Hm", weather("call_00_rD", SPACED), usage).await;
}
