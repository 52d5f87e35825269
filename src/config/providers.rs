//! The model providers: three with a section of their own, and as many as are named.

mod check;
mod connection;
mod settings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::environment::Variables;
use super::{ConfigError, ModelsSettings, SecretSetting};
use talkgraph_domain::capabilities::CapabilityOverrides;
use talkgraph_domain::redact;

pub use connection::OpenAiProtocol;
pub use settings::{NamedProviderSettings, PriceSettings, ProviderSettings};

/// The names of the sections, which no other provider can have.
const RESERVED: [&str; 4] = ["openai", "anthropic", "gemini", "embedded"];
/// The longest name of a provider, in bytes.
const NAME_BYTES: usize = 64;

unbounded!(ProviderKind, OpenAiProtocol, super::ExtraBody);

/// The protocol of a provider.
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
    /// The name of the kind in the settings.
    fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "\"openai\" (Chat Completions)",
            Self::OpenAiResponses => "\"openai-responses\"",
            Self::Anthropic => "\"anthropic\"",
            Self::Gemini => "\"gemini\"",
        }
    }
}

/// A provider: its name before the `/` of its models, and its section.
#[derive(Debug, Clone)]
pub(crate) struct ProviderEntry {
    pub(crate) name: String,
    /// `models.openai`, `models.providers.groq`.
    pub(crate) section: String,
    pub(crate) kind: ProviderKind,
    pub(crate) settings: ProviderSettings,
    /// True for `[models.providers.NAME]`, which is configured because of that alone.
    pub(crate) is_named: bool,
}

impl ModelsSettings {
    /// Every provider with a protocol, those without any configuration included.
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

    /// Replaces names of environment variables with the secrets in them.
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
                return refused("api_key is set as well: set one of the two".to_owned());
            }
            match variables.get(variable)? {
                Some(key) => provider.api_key = Some(key.into_owned().into()),
                // Some write the key itself there.
                None => {
                    let variable = redact::name(variable);
                    return refused(format!(
                        "the variable {variable} is not set: set it, or use api_key"
                    ));
                }
            }
        }
        Ok(())
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
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) && !RESERVED.contains(&name)
}

fn is_empty(entries: &CapabilityOverrides) -> bool {
    *entries == CapabilityOverrides::default()
}

#[cfg(test)]
mod tests;
