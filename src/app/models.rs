//! The model providers that the settings name.

use std::sync::Arc;

use secrecy::ExposeSecret;
use thiserror::Error;

use crate::config::{EmbeddedSettings, ModelsSettings, OpenAiSettings, ms};
use crate::domain::AgentSpec;
use crate::llm::{self, ChatModel, HttpSettings, Models, Provider, ProviderKind};

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

/// The model of agents that name none: the setting, else what there is.
pub(super) fn default_model(settings: &ModelsSettings) -> String {
    match &settings.default {
        Some(model) => model.clone(),
        None if has_openai(&settings.openai) => OPENAI_MODEL.to_owned(),
        None => EMBEDDED_MODEL.to_owned(),
    }
}

fn has_openai(settings: &OpenAiSettings) -> bool {
    let key = settings.api_key.as_ref();
    key.is_some_and(|key| !key.expose_secret().is_empty())
        || settings.base_url.trim_end_matches('/') != OPENAI_URL
}

pub(super) async fn build(
    settings: &ModelsSettings,
    specs: &[AgentSpec],
    default_model: &str,
) -> Result<Models, ModelError> {
    let mut models = Models::default();
    if has_openai(&settings.openai) {
        models.insert("openai", openai(&settings.openai)?);
    }
    if settings.anthropic.api_key.is_some() {
        tracing::warn!("models.anthropic.api_key is set, but this version cannot call Anthropic");
    }
    let mut asked = specs.iter().filter_map(|spec| spec.model.as_deref());
    if default_model == EMBEDDED_MODEL || asked.any(|model| model == EMBEDDED_MODEL) {
        models.insert("embedded", embedded(&settings.embedded).await?);
    }
    if !models.knows(default_model) {
        return Err(ModelError::NoProvider(default_model.to_owned()));
    }
    Ok(models)
}

fn openai(settings: &OpenAiSettings) -> Result<Arc<dyn ChatModel>, ModelError> {
    let client = llm::http_client(&HttpSettings {
        connect_timeout: ms(settings.connect_timeout_ms),
        proxy_from_env: true,
    })
    .map_err(|error| ModelError::Client(error.to_string()))?;
    let provider = llm::ProviderSettings {
        kind: ProviderKind::OpenAi,
        base_url: settings.base_url.clone(),
        api_key: settings.api_key.clone(),
        first_token_timeout: ms(settings.first_token_timeout_ms),
        idle_timeout: ms(settings.idle_timeout_ms),
        total_timeout: ms(settings.total_timeout_ms),
        max_event_bytes: settings.event_limit_bytes,
    };
    let provider = Provider::new(client, provider);
    Ok(Arc::new(
        provider.map_err(|error| ModelError::OpenAi(error.to_string()))?,
    ))
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
