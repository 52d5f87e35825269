//! The model providers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::providers::{NamedProviderSettings, ProviderSettings};
use talkgraph_domain::one_or_many;

sections! {
    /// The model providers.
    ModelsSettings {
        /// Model of agents that name none, as provider/model, or a list of up to 8: the first that
        /// gives a first token answers. Absent: openai/gpt-6-luna if there is an OpenAI key or base
        /// URL, else anthropic/claude-haiku-5-5 or gemini/gemini-3.5-flash-lite if there is a key
        /// for it, else embedded/smollm2-135m.
        #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
        default: Vec<String> => ["openai/gpt-6-luna", "embedded/smollm2-135m"],
        /// Reaches providers through the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`
        /// name, except those that `NO_PROXY` lists (docs/security.md).
        proxy_from_env: bool = true,
        /// Retries of a call that has failed before its first token: because the provider could not
        /// be reached, broke off, or answered with 408, 409, 429 or 5xx.
        resilience: ResilienceSettings,
        /// OpenAI, or any server with its Chat Completions: vLLM, Ollama, llama.cpp, a gateway.
        openai: ProviderSettings,
        /// Any server with Anthropic's Messages. An agent without `max_output_tokens` gets 8,192. The
        /// keys have the meaning of those in `[models.openai]`.
        anthropic: ProviderSettings {
            /// Address of the server.
            base_url = "https://api.anthropic.com/v1",
            /// API key. Also: `ANTHROPIC_API_KEY`.
            api_key => "sk-ant-...",
            /// Tokens that its models take; those of the table, or 200,000, when absent.
            context_tokens => 200_000,
            /// Types of files that its models take in messages.
            files = ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/*", "application/json"],
            /// Lifetime of prompts in the provider's cache from their last use: "5m", "1h" (writing
            /// costs more, see `cache_write_1h_per_million`) or "off".
            cache_ttl = "5m",
        },
        /// Google's Gemini. The keys have the meaning of those in `[models.openai]`.
        gemini: ProviderSettings {
            /// Address of the server.
            base_url = "https://generativelanguage.googleapis.com/v1beta",
            /// API key. Also: `GEMINI_API_KEY`.
            api_key => "AIza...",
            /// Tokens that its models take; those of the table, or 1,000,000, when absent.
            context_tokens => 1_000_000,
            /// Types of files that its models take in messages.
            files = ["image/png", "image/jpeg", "image/webp", "image/heic", "application/pdf", "audio/*", "text/*", "application/json"],
        },
        /// Further providers, each under a name of small letters, digits, - and _: with this one,
        /// "groq/llama-3.3-70b-versatile" is a model. Every key of `[models.openai]` but protocol
        /// can be given here. An absent key has the value of the section of its kind
        /// (`[models.openai]`, `[models.anthropic]` or `[models.gemini]`), except that keys,
        /// headers, query, `stream_options`, `per_model`, prices, capabilities and `extra_body` are
        /// each provider's own. Kinds: "openai" (Chat Completions: vLLM, Ollama, llama.cpp, Groq,
        /// `OpenRouter`, Mistral, `DeepSeek` and most others), "openai-responses", "anthropic" or
        /// "gemini". The key of the provider is in the variable that `api_key_env` names, in the
        /// environment or in .env, or in `api_key`.
        /// ```toml
        /// [models.providers.groq]
        /// kind = "openai"
        /// base_url = "https://api.groq.com/openai/v1"
        /// api_key_env = "GROQ_API_KEY"
        /// [models.providers.groq.prices."llama-3.3-70b-versatile"]
        /// input_per_million = 0.59
        /// output_per_million = 0.79
        /// cached_input_per_million = 0.3
        /// ```
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        providers: BTreeMap<String, NamedProviderSettings>,
        /// Model inside the server.
        embedded: EmbeddedSettings,
    }

    /// Retries and breakers of model calls.
    ResilienceSettings {
        /// Most tries of each model, the first one included; 1 never retries.
        attempts: u32 [1..=10] = 3,
        /// Longest wait before the first retry, in milliseconds; each further one may take twice as
        /// long. Waits are random up to that. 0: no wait. At most `backoff_cap_ms`.
        backoff_ms: u64 [0..] = 500,
        /// Longest wait before any retry for which the provider asks for no time of its own, in
        /// milliseconds. 0: no wait.
        backoff_cap_ms: u64 [0..=3_600_000] = 8_000,
        /// Longest Retry-After that is obeyed, in milliseconds; a longer one is shortened to it. 0:
        /// none is obeyed.
        retry_after_cap_ms: u64 [0..=3_600_000] = 30_000,
        /// Longest wait of a call for a server that answers that it is still loading its model, in
        /// milliseconds. The server is asked repeatedly meanwhile, which uses up no attempts; where
        /// the agent has another model, that one is asked at once. 0: no wait.
        loading_timeout_ms: u64 [0..=3_600_000] = 120_000,
        /// Time for which a parameter is left out that a model has refused, in seconds. The refused
        /// call is repeated without it. Never left out are messages, model, tools and schemas. 0:
        /// nothing is remembered.
        refused_parameters_s: u64 [0..=2_592_000] = 86_400,
        /// Share of calls that may be retried, in percent, for each provider. 0: only those of
        /// `retry_floor`.
        retry_percent: u32 [0..=100] = 20,
        /// Number of retries beyond that; one of these comes back each second. 0: none.
        retry_floor: u32 [0..] = 10,
        /// Number of successive failures after which a model is not called for a while. 0: it
        /// is always called.
        breaker_failures: u32 [0..] = 5,
        /// Time for which it is not called, in milliseconds; then one call probes the model.
        breaker_pause_ms: u64 [1..=3_600_000] = 10_000,
    }

    /// The model inside the server.
    EmbeddedSettings {
        /// Allows the model inside the server, where it is compiled in (feature embedded-model). It
        /// is loaded only if the default model or an agent names it.
        enabled: bool = true,
        /// File of its weights; scripts/fetch-model downloads it.
        path: PathBuf = "models/smollm2-135m-instruct-q4_1.gguf",
        /// Number of threads that compute answers; 0 takes as many as there are cores. As many
        /// answers and two more are in progress at once, turn by turn, so that a short prompt does
        /// not wait for long ones; each takes 46 kB a token.
        threads: usize [0..] = 0,
        /// Most answers that wait for the model; one more is a `MODEL_BUSY` error. 0: none waits.
        queue: usize [0..] = 32,
        /// Longest prompt and answer together, in tokens; the model supports 8,192.
        context_tokens: usize = 2_048,
        /// Number of conversations whose computed prefix stays in memory (at most about 90 MiB
        /// each). 0: none.
        cached_conversations: usize [0..] = 2,
    }
}
