//! The model providers that the settings name.

use std::collections::HashSet;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::config::{EmbeddedSettings, ModelsSettings, OpenAiSettings, ResilienceSettings, ms};
use crate::domain::AgentSpec;
use crate::llm::{self, ChatModel, HttpSettings, Models, OpenAi, Resilience};

const EMBEDDED_MODEL: &str = "embedded/smollm2-135m";
const OPENAI_MODEL: &str = "openai/gpt-4.1-mini";
const OPENAI_URL: &str = "https://api.openai.com/v1";

/// Why a model cannot be used: one line that says what to do.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The HTTP client.
    #[error("the HTTP client for model providers cannot be made: {0}")]
    Client(String),
    /// The OpenAI-compatible provider.
    #[error("setting models.openai: {0}")]
    OpenAi(String),
    /// The default model needs a provider that is not configured.
    #[error(
        "no provider for models.default {0:?}: set OPENAI_API_KEY or OPENAI_BASE_URL, or use {EMBEDDED_MODEL}"
    )]
    NoProvider(String),
    /// This build cannot run the embedded model.
    #[error(
        "no model: this build has no embedded one. Either set OPENAI_API_KEY (or OPENAI_BASE_URL), \
         or run scripts/fetch-model once and build with `--features embedded-model`; scripts/run \
         does both"
    )]
    NotCompiledIn,
    /// The settings forbid the embedded model, and there is no other.
    #[error("no model: models.embedded.enabled is false; set OPENAI_API_KEY (or OPENAI_BASE_URL)")]
    Disabled,
    /// The embedded model cannot be loaded.
    #[error("{0}")]
    Embedded(String),
}

/// The models of agents that name none: the setting, else what there is.
pub(super) fn default_models(settings: &ModelsSettings) -> Vec<String> {
    match settings.default.as_slice() {
        [] if has_openai(&settings.openai) => vec![OPENAI_MODEL.to_owned()],
        [] => vec![EMBEDDED_MODEL.to_owned()],
        named => named.to_vec(),
    }
}

fn has_openai(settings: &OpenAiSettings) -> bool {
    keys(settings).next().is_some() || settings.base_url.trim_end_matches('/') != OPENAI_URL
}

/// Its keys, each once.
fn keys(settings: &OpenAiSettings) -> impl Iterator<Item = &SecretString> {
    let mut seen = HashSet::new();
    let keys = settings.api_key.iter().chain(&settings.api_keys);
    keys.filter(move |key| !key.expose_secret().is_empty() && seen.insert(key.expose_secret()))
}

pub(super) async fn build(
    settings: &ModelsSettings,
    specs: &[AgentSpec],
    default_models: &[String],
) -> Result<Models, ModelError> {
    let mut models = Models::default();
    if has_openai(&settings.openai) {
        let how = resilience(&settings.resilience, &settings.openai);
        models.insert_resilient("openai", openai(&settings.openai)?, &how);
    }
    if settings.anthropic.api_key.is_some() {
        tracing::warn!("models.anthropic.api_key is set, but this version cannot call Anthropic");
    }
    let asked = specs.iter().flat_map(|spec| &spec.models);
    if asked
        .chain(default_models)
        .any(|model| model == EMBEDDED_MODEL)
    {
        models.insert("embedded", embedded(&settings.embedded).await?);
    }
    match default_models.iter().find(|model| !models.knows(model)) {
        Some(unknown) => Err(ModelError::NoProvider(unknown.clone())),
        None => Ok(models),
    }
}

/// The provider with each of its keys; without one if it has none. They share connections.
fn openai(settings: &OpenAiSettings) -> Result<Vec<Arc<dyn ChatModel>>, ModelError> {
    let client = llm::http_client(&HttpSettings {
        connect_timeout: ms(settings.connect_timeout_ms),
        proxy_from_env: true,
    })
    .map_err(|error| ModelError::Client(error.to_string()))?;
    let provider = |api_key: Option<SecretString>| {
        let provider = llm::OpenAiSettings {
            base_url: settings.base_url.clone(),
            api_key,
            first_token_timeout: ms(settings.first_token_timeout_ms),
            idle_timeout: ms(settings.idle_timeout_ms),
            total_timeout: ms(settings.total_timeout_ms),
            max_event_bytes: settings.event_limit_bytes,
        };
        match OpenAi::new(client.clone(), provider) {
            Ok(provider) => Ok(Arc::new(provider) as Arc<dyn ChatModel>),
            Err(error) => Err(ModelError::OpenAi(error.to_string())),
        }
    };
    let keys: Vec<_> = keys(settings).cloned().map(Some).collect();
    if keys.is_empty() {
        return Ok(vec![provider(None)?]);
    }
    keys.into_iter().map(provider).collect()
}

fn resilience(settings: &ResilienceSettings, provider: &OpenAiSettings) -> Resilience {
    Resilience {
        attempts: settings.attempts,
        backoff: ms(settings.backoff_ms),
        backoff_cap: ms(settings.backoff_cap_ms),
        retry_after_cap: ms(settings.retry_after_cap_ms),
        retry_percent: settings.retry_percent,
        retry_floor: settings.retry_floor,
        breaker_failures: settings.breaker_failures,
        breaker_pause: ms(settings.breaker_pause_ms),
        concurrency: provider.concurrency,
        queue: provider.queue,
        queue_timeout: ms(provider.queue_timeout_ms),
    }
}

/// Loads the weights on a thread where blocking is allowed; it takes about a second.
#[cfg(feature = "embedded-model")]
async fn embedded(settings: &EmbeddedSettings) -> Result<Arc<dyn ChatModel>, ModelError> {
    use crate::llm::embedded::{self, EmbeddedModel};
    if !settings.enabled {
        return Err(ModelError::Disabled);
    }
    let settings = embedded::EmbeddedSettings {
        model_path: settings.path.clone(),
        threads: settings.threads,
        queue_limit: settings.queue,
        context_tokens: settings.context_tokens,
        cached_conversations: settings.cached_conversations,
    };
    let loaded = tokio::task::spawn_blocking(move || EmbeddedModel::load(&settings)).await;
    match loaded {
        Ok(Ok(model)) => Ok(Arc::new(model)),
        Ok(Err(error)) => Err(ModelError::Embedded(error.to_string())),
        Err(error) => Err(ModelError::Embedded(format!(
            "loading the model failed: {error}"
        ))),
    }
}

#[cfg(not(feature = "embedded-model"))]
#[expect(
    clippy::unused_async,
    reason = "with the feature it waits for the weights"
)]
async fn embedded(_: &EmbeddedSettings) -> Result<Arc<dyn ChatModel>, ModelError> {
    Err(ModelError::NotCompiledIn)
}
