//! The streams of vendors with protocols of their own, cut everywhere. All say the same:
//! a thought, a text, two calls.

use talkgraph_domain::{FinishReason, Usage};
use talkgraph_llm::ProviderKind;

use crate::caller::{Answer, Call};
use crate::shapes::replay;

/// What each says, with its own ids and signatures.
fn said(calls: [(&str, &str); 2], signatures: &[&str]) -> Answer {
    let [(weather, city), (time, nothing)] = calls;
    Answer {
        text: "Grüß \"dich\"\n🦀".to_owned(),
        reasoning: "Hm".to_owned(),
        signatures: signatures.iter().map(|&text| text.to_owned()).collect(),
        calls: vec![
            Call::complete(weather, "weather", city),
            Call::complete(time, "time", nothing),
        ],
        usage: Some(Usage {
            input_tokens: 82,
            output_tokens: 34,
            cached_input_tokens: 64,
            reasoning_tokens: 4,
            ..Usage::default()
        }),
        finish: Some(FinishReason::ToolCalls),
        error: None,
    }
}

#[tokio::test]
async fn anthropics_stream_is_read_however_it_is_cut() {
    let calls = [
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", r#"{"city": "Zürich 🦀"}"#),
        ("toolu_02B", "{}"),
    ];
    let signatures = [
        "anthropic:EqQBCgIYAhIM1gbcDa9GJwZA2b3h",
        "anthropic-redacted:EmwKAhgBEgy3va3pzix/LafPsn4a",
    ];
    let mut expected = said(calls, &signatures);
    expected.usage.as_mut().unwrap().cache_write_input_tokens = 9;
    replay(ProviderKind::Anthropic, "anthropic", &expected).await;
}

#[tokio::test]
async fn the_stream_of_responses_is_read_however_it_is_cut() {
    let calls = [
        ("call_iR7R", r#"{"city":"Zürich 🦀"}"#),
        ("call_iR7S", "{}"),
    ];
    let expected = said(calls, &["responses:rs_68af:gAAAAABo1f9f2Q=="]);
    replay(ProviderKind::OpenAiResponses, "responses", &expected).await;
}

#[tokio::test]
async fn geminis_stream_is_read_however_it_is_cut() {
    let calls = [("4wx0", r#"{"city":"Zürich 🦀"}"#), ("4wx1", "{}")];
    let expected = said(calls, &["gemini:EjQKMgEMOe8=", "gemini-text:VGV4dA=="]);
    replay(ProviderKind::Gemini, "gemini", &expected).await;
}
