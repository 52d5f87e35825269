//! Anthropic's stream.

use talkgraph::domain::{FinishReason, Usage};
use talkgraph::llm::ProviderKind;

use crate::caller::{Answer, Call};
use crate::shapes::replay;

#[tokio::test]
async fn the_stream_is_read_however_it_is_cut() {
    let expected = Answer {
        text: "Grüß \"dich\"\n🦀".to_owned(),
        reasoning: "Hm".to_owned(),
        signatures: vec![
            "anthropic:EqQBCgIYAhIM1gbcDa9GJwZA2b3h".to_owned(),
            "anthropic-redacted:EmwKAhgBEgy3va3pzix/LafPsn4a".to_owned(),
        ],
        calls: vec![
            Call::complete(
                "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
                "weather",
                r#"{"city": "Zürich 🦀"}"#,
            ),
            Call::complete("toolu_02B", "time", "{}"),
        ],
        usage: Some(Usage {
            input_tokens: 82,
            output_tokens: 34,
            cached_input_tokens: 64,
            reasoning_tokens: 4,
        }),
        finish: Some(FinishReason::ToolCalls),
        error: None,
    };
    replay(ProviderKind::Anthropic, "anthropic", &expected).await;
}
