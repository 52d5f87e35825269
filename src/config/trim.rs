//! Removes white space around keys, which comes with a copy or the end of a line.

use secrecy::{ExposeSecret, SecretString};

use super::ModelsSettings;

impl ModelsSettings {
    /// Removes white space around the providers' keys.
    pub(super) fn trim_keys(&mut self) {
        for provider in [&mut self.openai, &mut self.anthropic, &mut self.gemini] {
            provider.api_key.iter_mut().for_each(trim);
            provider.api_keys.iter_mut().for_each(trim);
        }
        for provider in self.providers.values_mut() {
            provider.api_key.iter_mut().for_each(trim);
            provider.api_keys.iter_mut().for_each(trim);
        }
    }
}

fn trim(key: &mut SecretString) {
    let trimmed = key.expose_secret().trim();
    if trimmed.len() < key.expose_secret().len() {
        *key = SecretString::from(trimmed);
    }
}
