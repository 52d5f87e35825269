//! Checks of the providers.

use secrecy::ExposeSecret;

use super::{NAME_BYTES, ProviderEntry, ProviderKind, RESERVED, is_valid_name, section_of};
use crate::config::capabilities::check_capabilities;
use crate::config::{ConfigError, ModelsSettings};

/// The most keys of a provider: each may be tried in turn at a rate limit.
const MAX_KEYS: usize = 64;

impl ModelsSettings {
    /// Refuses providers that cannot be called.
    pub(in crate::config) fn check_providers(&self) -> Result<(), ConfigError> {
        if let Some(name) = self.providers.keys().find(|name| !is_valid_name(name)) {
            return Err(ConfigError::invalid(
                section_of(name),
                format!(
                    "{name:?} must be 1 to {NAME_BYTES} of small letters, digits, - and _, and \
                     none of {}",
                    RESERVED.join(", ")
                ),
            ));
        }
        self.entries().iter().try_for_each(ProviderEntry::check)
    }
}

impl ProviderEntry {
    fn check(&self) -> Result<(), ConfigError> {
        self.check_connection()?;
        self.check_models()?;
        self.check_keys()?;
        let is_anthropic = self.kind == ProviderKind::Anthropic;
        if self.settings.cache_ttl.is_some() && !is_anthropic {
            let why = "is for providers of the kind \"anthropic\" alone";
            return self.refuse("cache_ttl", why);
        }
        for (model, price) in &self.settings.prices {
            let all = [
                Some(price.input_per_million),
                price.cached_input_per_million,
                price.cache_write_per_million,
                price.cache_write_1h_per_million,
                Some(price.output_per_million),
            ];
            let wrong = |price: &&f64| !price.is_finite() || **price < 0.0;
            if let Some(price) = all.iter().flatten().find(wrong) {
                let why = format!("{price} is not allowed: a price must be at least 0");
                return self.refuse(&format!("prices.{model:?}"), &why);
            }
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), ConfigError> {
        let keys = &self.settings.api_keys;
        if keys.iter().any(|key| key.expose_secret().is_empty()) {
            return self.refuse("api_keys", "has an empty key: remove it");
        }
        if keys.len() > MAX_KEYS {
            let why = format!("{} keys are too many: at most {MAX_KEYS}", keys.len());
            return self.refuse("api_keys", &why);
        }
        Ok(())
    }

    fn check_models(&self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        let section = &self.section;
        check_capabilities(&format!("{section}.capabilities"), &settings.capabilities)?;
        settings
            .extra_body
            .check(&format!("{section}.extra_body"))?;
        settings.per_model.iter().try_for_each(|(model, own)| {
            let model = format!("{section}.per_model.{model:?}");
            check_capabilities(&format!("{model}.capabilities"), &own.capabilities)?;
            own.extra_body.check(&format!("{model}.extra_body"))
        })
    }

    pub(super) fn refuse(&self, key: &str, why: &str) -> Result<(), ConfigError> {
        Err(ConfigError::invalid(format!("{}.{key}", self.section), why))
    }
}
