//! The default models of agents: the newest small one of each vendor.

/// The provider, and its model as `provider/model`, in order of preference.
///
/// <https://developers.openai.com/api/docs/models/gpt-6-luna>,
/// <https://platform.claude.com/docs/en/models/haiku-5-5/overview>,
/// <https://ai.google.dev/gemini-api/docs/models/gemini-3.5-flash-lite>.
pub const USUAL_MODELS: [(&str, &str); 3] = [
    ("openai", "openai/gpt-6-luna"),
    ("anthropic", "anthropic/claude-haiku-5-5"),
    ("gemini", "gemini/gemini-3.5-flash-lite"),
];
