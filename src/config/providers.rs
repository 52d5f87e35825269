//! The model providers: three with a section of their own, and as many as are named.

mod connection;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::capabilities::{ExtraBody, check_capabilities};
use super::environment::Variables;
use super::sections::{UrlSetting, hide, hide_all};
use super::{ConfigError, ModelsSettings, SecretSetting};
use talkgraph_domain::capabilities::CapabilityOverrides;
use talkgraph_domain::{CacheTtl, redact};

pub use connection::OpenAiProtocol;

/// Each may be tried in turn at the limit of a rate.
const MAX_KEYS: usize = 64;
/// Less holds no conversation, in tokens.
const FEWEST_CONTEXT_TOKENS: u64 = 256;
/// The names of the sections, which no other provider can have.
const RESERVED: [&str; 4] = ["openai", "anthropic", "gemini", "embedded"];
const MAX_NAME_BYTES: usize = 64;

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// OpenAI's Chat Completions.
    #[serde(rename = "openai")]
    OpenAi,
    /// OpenAI's Responses.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
}

impl ProviderKind {
    /// The kind as the settings have it.
    fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "\"openai\" (Chat Completions)",
            Self::OpenAiResponses => "\"openai-responses\"",
            Self::Anthropic => "\"anthropic\"",
            Self::Gemini => "\"gemini\"",
        }
    }
}

/// A provider.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "talkgraph.example.toml documents every key")]
pub struct ProviderSettings {
    pub base_url: UrlSetting,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<OpenAiProtocol>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretSetting>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, SecretSetting>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<bool>,
    #[serde(
        default,
        serialize_with = "hide",
        skip_serializing_if = "Option::is_none"
    )]
    pub api_key: Option<SecretString>,
    #[serde(default, serialize_with = "hide_all")]
    pub api_keys: Vec<SecretString>,
    pub concurrency: usize,
    pub queue: usize,
    pub queue_timeout_ms: u64,
    pub connect_timeout_ms: u64,
    pub first_token_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub total_timeout_ms: u64,
    pub event_limit_bytes: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub capabilities: CapabilityOverrides,
    #[serde(default, skip_serializing_if = "ExtraBody::is_empty")]
    pub extra_body: ExtraBody,
    pub files: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_ttl: Option<CacheTtl>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_model: BTreeMap<String, PerModelSettings>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, PriceSettings>,
}

/// A provider with a name; what is absent is as in the section of its kind, but for keys.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "talkgraph.example.toml documents every key")]
pub struct NamedProviderSettings {
    pub kind: ProviderKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<UrlSetting>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretSetting>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, SecretSetting>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<bool>,
    #[serde(
        default,
        serialize_with = "hide",
        skip_serializing_if = "Option::is_none"
    )]
    pub api_key: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    #[serde(
        default,
        serialize_with = "hide_all",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub api_keys: Vec<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_limit_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub capabilities: CapabilityOverrides,
    #[serde(default, skip_serializing_if = "ExtraBody::is_empty")]
    pub extra_body: ExtraBody,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_ttl: Option<CacheTtl>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_model: BTreeMap<String, PerModelSettings>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, PriceSettings>,
}

/// In what a model differs from its provider's others.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "talkgraph.example.toml documents every key")]
pub struct PerModelSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub capabilities: CapabilityOverrides,
    #[serde(default, skip_serializing_if = "ExtraBody::is_empty")]
    pub extra_body: ExtraBody,
}

fn is_empty(entries: &CapabilityOverrides) -> bool {
    *entries == CapabilityOverrides::default()
}

/// What a model costs, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "talkgraph.example.toml documents every key")]
pub struct PriceSettings {
    pub input_per_million: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_per_million: Option<f64>,
    pub output_per_million: f64,
}

/// A provider as it is made: its name before the `/` of its models, and where it is set.
#[derive(Debug, Clone)]
pub(crate) struct ProviderEntry {
    pub(crate) name: String,
    /// `models.openai`, `models.providers.groq`.
    pub(crate) section: String,
    pub(crate) kind: ProviderKind,
    pub(crate) settings: ProviderSettings,
    /// Whether somebody has named it: it is there because of that alone.
    pub(crate) is_named: bool,
}

impl ModelsSettings {
    /// Every provider with a protocol, those that nobody has configured included.
    pub(crate) fn entries(&self) -> Vec<ProviderEntry> {
        let own = [
            (
                "openai",
                connection::openai_kind(&self.openai),
                &self.openai,
            ),
            ("anthropic", ProviderKind::Anthropic, &self.anthropic),
            ("gemini", ProviderKind::Gemini, &self.gemini),
        ];
        let own = own.map(|(name, kind, settings)| ProviderEntry {
            name: name.to_owned(),
            section: format!("models.{name}"),
            kind,
            settings: settings.clone(),
            is_named: false,
        });
        let named = self.providers.iter().map(|(name, settings)| ProviderEntry {
            name: name.clone(),
            section: section_of(name),
            kind: settings.kind,
            settings: settings.over(self.of_kind(settings.kind)),
            is_named: true,
        });
        own.into_iter().chain(named).collect()
    }

    fn of_kind(&self, kind: ProviderKind) -> &ProviderSettings {
        match kind {
            ProviderKind::OpenAi | ProviderKind::OpenAiResponses => &self.openai,
            ProviderKind::Anthropic => &self.anthropic,
            ProviderKind::Gemini => &self.gemini,
        }
    }

    /// Puts the secrets in place that are in variables of the environment.
    pub(super) fn resolve(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        self.take_keys(variables)?;
        let own = [
            ("models.openai", &mut self.openai),
            ("models.anthropic", &mut self.anthropic),
            ("models.gemini", &mut self.gemini),
        ];
        for (section, provider) in own {
            let pairs = secrets_of(&mut provider.headers, &mut provider.query);
            connection::resolve(section, pairs, variables)?;
        }
        for (name, provider) in &mut self.providers {
            let pairs = secrets_of(&mut provider.headers, &mut provider.query);
            connection::resolve(&section_of(name), pairs, variables)?;
        }
        Ok(())
    }

    fn take_keys(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        for (name, provider) in &mut self.providers {
            let Some(variable) = &provider.api_key_env else {
                continue;
            };
            let refused = |why: String| {
                let key = format!("{}.api_key_env", section_of(name));
                Err(ConfigError::invalid(key, why))
            };
            if provider.api_key.is_some() {
                return refused("there is an api_key as well; give one of the two".to_owned());
            }
            match variables.get(variable)? {
                Some(key) => provider.api_key = Some(key.into_owned().into()),
                // Some write the key itself there.
                None => {
                    let variable = redact::name(variable);
                    return refused(format!("the variable {variable} is not set"));
                }
            }
        }
        Ok(())
    }

    /// Refuses what no provider can be called with.
    pub(super) fn check_providers(&self) -> Result<(), ConfigError> {
        if let Some(name) = self.providers.keys().find(|name| !is_valid_name(name)) {
            return Err(ConfigError::invalid(
                section_of(name),
                format!(
                    "{name:?} must be 1 to {MAX_NAME_BYTES} of small letters, digits, - and _, and \
                     none of {}",
                    RESERVED.join(", ")
                ),
            ));
        }
        self.entries().iter().try_for_each(ProviderEntry::check)
    }
}

impl NamedProviderSettings {
    fn over(&self, kin: &ProviderSettings) -> ProviderSettings {
        let kin = kin.clone();
        let own = self.clone();
        ProviderSettings {
            base_url: own.base_url.unwrap_or(kin.base_url),
            protocol: None,
            // As a key, they are for the host they were given for.
            headers: own.headers,
            query: own.query,
            api_key_header: own.api_key_header,
            stream_options: own.stream_options,
            // A key is for the host it was given for.
            api_key: own.api_key,
            api_keys: own.api_keys,
            concurrency: own.concurrency.unwrap_or(kin.concurrency),
            queue: own.queue.unwrap_or(kin.queue),
            queue_timeout_ms: own.queue_timeout_ms.unwrap_or(kin.queue_timeout_ms),
            connect_timeout_ms: own.connect_timeout_ms.unwrap_or(kin.connect_timeout_ms),
            first_token_timeout_ms: own
                .first_token_timeout_ms
                .unwrap_or(kin.first_token_timeout_ms),
            idle_timeout_ms: own.idle_timeout_ms.unwrap_or(kin.idle_timeout_ms),
            total_timeout_ms: own.total_timeout_ms.unwrap_or(kin.total_timeout_ms),
            event_limit_bytes: own.event_limit_bytes.unwrap_or(kin.event_limit_bytes),
            context_tokens: own.context_tokens.or(kin.context_tokens),
            // Those are for the server they are set for, too.
            capabilities: own.capabilities,
            extra_body: own.extra_body,
            files: own.files.unwrap_or(kin.files),
            cache_ttl: own.cache_ttl.or(kin.cache_ttl),
            per_model: own.per_model,
            prices: own.prices,
        }
    }
}

impl ProviderEntry {
    fn check(&self) -> Result<(), ConfigError> {
        self.check_connection()?;
        let settings = &self.settings;
        let refused = |key: &str, why: String| {
            let key = format!("{}.{key}", self.section);
            Err(ConfigError::invalid(key, why))
        };
        for (key, value) in [
            ("concurrency", settings.concurrency),
            ("event_limit_bytes", settings.event_limit_bytes),
        ] {
            if value == 0 {
                return refused(key, "must be at least 1".to_owned());
            }
        }
        if settings.cache_ttl.is_some() && self.kind != ProviderKind::Anthropic {
            let why = "only providers of the kind \"anthropic\" are asked to cache".to_owned();
            return refused("cache_ttl", why);
        }
        self.check_models()?;
        let keys = &settings.api_keys;
        if keys.iter().any(|key| key.expose_secret().is_empty()) {
            return refused("api_keys", "must not have an empty key in it".to_owned());
        }
        if keys.len() > MAX_KEYS {
            return refused("api_keys", format!("must be at most {MAX_KEYS} keys"));
        }
        for (model, price) in &settings.prices {
            let all = [
                price.input_per_million,
                price.cached_input_per_million.unwrap_or(0.0),
                price.cache_write_per_million.unwrap_or(0.0),
                price.cache_write_1h_per_million.unwrap_or(0.0),
                price.output_per_million,
            ];
            if !all.iter().all(|price| price.is_finite() && *price >= 0.0) {
                let why = "a price must be 0 or more".to_owned();
                return refused(&format!("prices.{model:?}"), why);
            }
        }
        Ok(())
    }
}

impl ProviderEntry {
    fn check_models(&self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        let check = |prefix: &str,
                     context_tokens: Option<u64>,
                     capabilities: &CapabilityOverrides,
                     extra_body: &ExtraBody| {
            if context_tokens.is_some_and(|tokens| tokens < FEWEST_CONTEXT_TOKENS) {
                let why = format!("at least {FEWEST_CONTEXT_TOKENS}");
                return Err(ConfigError::invalid(
                    format!("{prefix}.context_tokens"),
                    why,
                ));
            }
            check_capabilities(&format!("{prefix}.capabilities"), capabilities)?;
            extra_body.check(&format!("{prefix}.extra_body"))
        };
        check(
            &self.section,
            settings.context_tokens,
            &settings.capabilities,
            &settings.extra_body,
        )?;
        settings.per_model.iter().try_for_each(|(model, own)| {
            let prefix = format!("{}.per_model.{model:?}", self.section);
            check(
                &prefix,
                own.context_tokens,
                &own.capabilities,
                &own.extra_body,
            )
        })
    }
}

fn secrets_of<'a>(
    headers: &'a mut BTreeMap<String, SecretSetting>,
    query: &'a mut BTreeMap<String, SecretSetting>,
) -> impl Iterator<Item = (&'static str, &'a mut SecretSetting)> {
    let headers = headers.values_mut().map(|value| ("headers", value));
    headers.chain(query.values_mut().map(|value| ("query", value)))
}

fn section_of(name: &str) -> String {
    format!("models.providers.{name}")
}

fn is_valid_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(allowed)
        && !RESERVED.contains(&name)
}
