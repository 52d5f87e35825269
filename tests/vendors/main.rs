//! Today's models, as their vendors sell them: the server against a provider that refuses what
//! they refuse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod history;
mod house;
mod long;
mod refusals;

/// Tests of one model each, so that they run side by side: the newest small and the newest
/// large model of each vendor that takes tools over this protocol.
macro_rules! models {
    ($($name:ident: $kind:literal, $model:literal, forced: $forced:literal, thinks: $thinks:literal;)*) => {
        $(mod $name {
            #[tokio::test]
            async fn both_agents_complete_everything() {
                super::agents::everything($kind, $model, $forced).await;
            }

            #[tokio::test]
            async fn sessions_outlast_every_change() {
                super::long::twenty_turns($kind, $model, $thinks).await;
            }
        })*
    };
}

models! {
    openai_small: "openai-responses", "gpt-6-luna", forced: true, thinks: true;
    openai_large: "openai-responses", "gpt-6.1-sol", forced: true, thinks: true;
    // OpenAI keeps reasoning to itself over Chat Completions, and gpt-6.1-sol, which cannot do
    // without it, takes no tools there.
    openai_chat_small: "openai", "gpt-6-luna", forced: true, thinks: false;
    openai_chat_large: "openai", "gpt-6-sol", forced: true, thinks: false;
    // A Claude that thinks is never forced.
    anthropic_small: "anthropic", "claude-haiku-5-5", forced: false, thinks: true;
    anthropic_large: "anthropic", "claude-opus-5-5", forced: false, thinks: true;
    gemini_small: "gemini", "gemini-3.8-flash", forced: true, thinks: true;
    gemini_large: "gemini", "gemini-4-argon", forced: true, thinks: true;
}
