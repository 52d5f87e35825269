//! The model providers that the settings name.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::tools::secrets;
use crate::config::{
    EmbeddedSettings, ModelsSettings, PriceSettings, ProviderEntry, ProviderKind, ProviderSettings,
    ResilienceSettings, ms,
};
use talkgraph_domain::AgentSpec;
use talkgraph_domain::capabilities::CapabilityOverrides;
use talkgraph_llm::{
    self, ChatModel, ChatProtocol, ConnectionSettings, HttpSettings, Models, Origin,
    ParameterMemory, Price, Provider, Resilience, USUAL_MODELS,
};
use talkgraph_proxy::Proxies;

const EMBEDDED_MODEL: &str = "embedded/smollm2-135m";

/// An error of a model: one line that says how to fix it.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The HTTP client.
    #[error("the HTTP client for model providers cannot be created: {0}")]
    Client(String),
    /// A provider that cannot be called as it is set.
    #[error("setting {setting}: {why}")]
    Provider {
        /// The setting.
        setting: String,
        /// The reason.
        why: String,
    },
    /// The default model needs a provider that is not configured.
    #[error(
        "no provider for models.default {0:?}: set OPENAI_API_KEY, OPENAI_BASE_URL, \
         ANTHROPIC_API_KEY or GEMINI_API_KEY, name it in models.providers, or use {EMBEDDED_MODEL}"
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

/// The models of agents that name none: the setting, else the first configured provider.
pub(super) fn default_models(settings: &ModelsSettings) -> Vec<String> {
    if !settings.default.is_empty() {
        return settings.default.clone();
    }
    let entries = settings.entries();
    let is_there = |name: &str| {
        let found = entries.iter().find(|entry| entry.name == name);
        found.is_some_and(ProviderEntry::is_configured)
    };
    let usual = USUAL_MODELS.iter().find(|(name, _)| is_there(name));
    vec![usual.map_or(EMBEDDED_MODEL, |(_, model)| model).to_owned()]
}

/// The keys of a provider, each once.
fn keys(settings: &ProviderSettings) -> impl Iterator<Item = &SecretString> {
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
    let mut clients = Clients::new(settings.proxy_from_env)?;
    for entry in settings
        .entries()
        .iter()
        .filter(|entry| entry.is_configured())
    {
        let resilience = resilience(&settings.resilience, &entry.settings);
        let client = clients.with(entry.settings.connect_timeout_ms)?;
        let refused_parameters = Duration::from_secs(settings.resilience.refused_parameters_s);
        let keys = provider(entry, &client, ParameterMemory::new(refused_parameters))?;
        models.insert_resilient(&entry.name, keys, &resilience);
        models.set_origin(&entry.name, origin(entry));
        models.set_files(&entry.name, entry.settings.files.clone());
        for (model, own) in &entry.settings.per_model {
            if let Some(files) = &own.files {
                models.set_files(&format!("{}/{model}", entry.name), files.clone());
            }
        }
        for (model, cost) in &entry.settings.prices {
            models.set_price(&format!("{}/{model}", entry.name), price(cost));
        }
    }
    let asked = specs.iter().flat_map(|spec| &spec.models);
    if asked
        .chain(default_models)
        .any(|model| model == EMBEDDED_MODEL)
    {
        models.insert("embedded", embedded(&settings.embedded).await?);
        models.set_window("embedded", settings.embedded.context_tokens as u64);
    }
    match default_models.iter().find(|model| !models.knows(model)) {
        Some(unknown) => Err(ModelError::NoProvider(unknown.clone())),
        None => Ok(models),
    }
}

/// The HTTP clients, by their only difference: the longest time to connect.
struct Clients {
    proxies: Arc<Proxies>,
    created: BTreeMap<u64, Client>,
}

impl Clients {
    fn new(proxy_from_env: bool) -> Result<Self, ModelError> {
        let proxies = match proxy_from_env {
            true => Proxies::from_env().map_err(|error| ModelError::Provider {
                setting: "models.proxy_from_env".to_owned(),
                why: error.to_string(),
            })?,
            false => Proxies::default(),
        };
        Ok(Self {
            proxies: Arc::new(proxies),
            created: BTreeMap::new(),
        })
    }

    fn with(&mut self, connect_timeout_ms: u64) -> Result<Client, ModelError> {
        if let Some(client) = self.created.get(&connect_timeout_ms) {
            return Ok(client.clone());
        }
        let client = talkgraph_llm::http_client(&HttpSettings {
            connect_timeout: ms(connect_timeout_ms),
            proxies: Arc::clone(&self.proxies),
        })
        .map_err(|error| ModelError::Client(error.to_string()))?;
        self.created.insert(connect_timeout_ms, client.clone());
        Ok(client)
    }
}

/// The provider once for each of its keys; once without a key if it has none. They share
/// connections.
fn provider(
    entry: &ProviderEntry,
    client: &Client,
    refused_parameters: ParameterMemory,
) -> Result<Vec<Arc<dyn ChatModel>>, ModelError> {
    let settings = &entry.settings;
    let with_key = |api_key: Option<SecretString>| {
        let provider = talkgraph_llm::ProviderSettings {
            kind: kind(entry.kind),
            base_url: entry.base_url(),
            api_key,
            connection: ConnectionSettings {
                headers: secrets(&settings.headers),
                query: secrets(&settings.query),
                api_key_header: settings.api_key_header.clone(),
            },
            stream_options: settings.stream_options.unwrap_or(true),
            refused_parameters: refused_parameters.clone(),
            first_token_timeout: ms(settings.first_token_timeout_ms),
            idle_timeout: ms(settings.idle_timeout_ms),
            total_timeout: ms(settings.total_timeout_ms),
            max_event_bytes: settings.event_limit_bytes,
            cache_ttl: settings.cache_ttl.unwrap_or_default(),
        };
        match Provider::new(client.clone(), provider) {
            Ok(provider) => Ok(Arc::new(provider) as Arc<dyn ChatModel>),
            Err(error) => Err(ModelError::Provider {
                setting: format!("{}.{}", entry.section, error.key()),
                why: error.to_string(),
            }),
        }
    };
    let keys: Vec<_> = keys(settings).cloned().map(Some).collect();
    if keys.is_empty() {
        return Ok(vec![with_key(None)?]);
    }
    keys.into_iter().map(with_key).collect()
}

fn kind(kind: ProviderKind) -> talkgraph_llm::ProviderKind {
    match kind {
        ProviderKind::OpenAi => talkgraph_llm::ProviderKind::OpenAi,
        ProviderKind::OpenAiResponses => talkgraph_llm::ProviderKind::OpenAiResponses,
        ProviderKind::Anthropic => talkgraph_llm::ProviderKind::Anthropic,
        ProviderKind::Gemini => talkgraph_llm::ProviderKind::Gemini,
    }
}

/// The origin of a provider's models, which decides on their capabilities.
pub(super) fn origin(entry: &ProviderEntry) -> Origin {
    let settings = &entry.settings;
    let with_window = |entries: &CapabilityOverrides, context_tokens| CapabilityOverrides {
        context_tokens,
        ..entries.clone()
    };
    let per_model = settings.per_model.iter();
    let per_model = per_model.map(|(name, own)| {
        let entries = with_window(&own.capabilities, own.context_tokens);
        (name.clone(), entries)
    });
    let named = settings
        .per_model
        .iter()
        .filter_map(|(name, own)| Some((name.clone(), own.same_as.clone()?)));
    let bodies = settings.per_model.iter().filter_map(|(name, own)| {
        let body = own.extra_body.expose();
        (!body.is_empty()).then(|| (name.clone(), body.clone()))
    });
    let url = reqwest::Url::parse(&entry.base_url()).ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str);
    Origin {
        protocol: Some(match entry.kind {
            ProviderKind::OpenAi => ChatProtocol::ChatCompletions,
            ProviderKind::OpenAiResponses => ChatProtocol::Responses,
            ProviderKind::Anthropic => ChatProtocol::Messages,
            ProviderKind::Gemini => ChatProtocol::GenerateContent,
        }),
        host: host.unwrap_or_default().to_owned(),
        entries: with_window(&settings.capabilities, settings.context_tokens),
        per_model: per_model.collect(),
        same_as: named.collect(),
        extra_body: settings.extra_body.expose().clone(),
        extra_body_per_model: bodies.collect(),
    }
}

fn price(settings: &PriceSettings) -> Price {
    let usual = Price::new(settings.input_per_million, settings.output_per_million);
    Price {
        cached_input_per_million: settings
            .cached_input_per_million
            .unwrap_or(usual.cached_input_per_million),
        cache_write_per_million: settings
            .cache_write_per_million
            .unwrap_or(usual.cache_write_per_million),
        cache_write_1h_per_million: settings
            .cache_write_1h_per_million
            .unwrap_or(usual.cache_write_1h_per_million),
        ..usual
    }
}

fn resilience(settings: &ResilienceSettings, provider: &ProviderSettings) -> Resilience {
    Resilience {
        attempts: settings.attempts,
        backoff: ms(settings.backoff_ms),
        backoff_cap: ms(settings.backoff_cap_ms),
        retry_after_cap: ms(settings.retry_after_cap_ms),
        loading_timeout: ms(settings.loading_timeout_ms),
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
    use talkgraph_llm::embedded::{self, EmbeddedModel};
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::default_models;
    use crate::config::{Settings, Sources};

    fn default_with(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter();
        let settings = Settings::load(&Sources {
            environment: variables
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Sources::default()
        });
        default_models(&settings.unwrap().models)
    }

    #[test]
    fn the_provider_that_has_a_key_answers() {
        let (anthropic, gemini) = (("ANTHROPIC_API_KEY", "k"), ("GEMINI_API_KEY", "k"));
        assert_eq!(default_with(&[]), ["embedded/smollm2-135m"]);
        assert_eq!(default_with(&[gemini]), ["gemini/gemini-3.5-flash-lite"]);
        assert_eq!(
            default_with(&[anthropic, gemini]),
            ["anthropic/claude-haiku-5-5"]
        );
        let own = ("OPENAI_BASE_URL", "http://localhost/v1");
        assert_eq!(default_with(&[anthropic, own]), ["openai/gpt-6-luna"]);
        let named = ("TALKGRAPH_MODELS__DEFAULT", "groq/a,embedded/b");
        assert_eq!(default_with(&[anthropic, named]), ["groq/a", "embedded/b"]);
    }
}
