//! Where servers that speak Chat Completions differ, by their host.

/// What a server takes of what OpenAI's has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) limit: LimitField,
    pub(super) seed: SeedField,
    /// Whether it is asked for the usage at the end of a stream; the others give it
    /// unasked, and refuse the question.
    pub(super) asks_for_usage: bool,
    /// Whether reasoning goes back with the tool calls that it led to. DeepSeek wants it,
    /// as do the models that vLLM and llama.cpp serve; the strict ones refuse the field.
    pub(super) takes_reasoning: bool,
    pub(super) call_ids: CallIds,
    pub(super) schema: SchemaMode,
}

/// Which field holds the limit on the answer's length.
///
/// OpenAI refuses `max_tokens` for its reasoning models and takes the newer field for
/// all; most of the servers that imitate it know only the older one, and would ignore
/// the newer and with it the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitField {
    MaxTokens,
    MaxCompletionTokens,
}

/// Which field holds the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeedField {
    Seed,
    RandomSeed,
}

/// Which ids of tool calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallIds {
    Any,
    /// Nine letters and digits.
    Nine,
}

/// How a model is held to a form of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchemaMode {
    /// `response_format` takes a JSON Schema.
    Schema,
    /// It takes "an object", and the schema is told in words.
    Object,
    /// It is told in words alone.
    Words,
}

impl Dialect {
    const USUAL: Self = Self {
        limit: LimitField::MaxTokens,
        seed: SeedField::Seed,
        asks_for_usage: true,
        takes_reasoning: true,
        call_ids: CallIds::Any,
        schema: SchemaMode::Schema,
    };

    pub(super) fn of_host(host: &str) -> Self {
        match host {
            "api.openai.com" => Self {
                limit: LimitField::MaxCompletionTokens,
                takes_reasoning: false,
                ..Self::USUAL
            },
            // https://docs.mistral.ai/api: unknown fields are refused.
            "api.mistral.ai" => Self {
                seed: SeedField::RandomSeed,
                asks_for_usage: false,
                takes_reasoning: false,
                call_ids: CallIds::Nine,
                ..Self::USUAL
            },
            // https://console.groq.com/docs/structured-outputs: not together with streams.
            "api.groq.com" => Self {
                takes_reasoning: false,
                schema: SchemaMode::Words,
                ..Self::USUAL
            },
            // https://api-docs.deepseek.com/guides/json_mode
            "api.deepseek.com" => Self {
                schema: SchemaMode::Object,
                ..Self::USUAL
            },
            _ => Self::USUAL,
        }
    }
}
