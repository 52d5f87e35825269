//! Checks of the settings of models.

use super::{ConfigError, ModelsSettings};
use talkgraph_domain::agent::MAX_MODELS;

impl ModelsSettings {
    /// Refuses settings that contradict each other, and providers that cannot be called.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let (first, cap) = (self.resilience.backoff_ms, self.resilience.backoff_cap_ms);
        if first > cap {
            return Err(ConfigError::invalid(
                "models.resilience.backoff_ms",
                format!(
                    "{first} is not allowed: must be at most models.resilience.backoff_cap_ms \
                     ({cap})"
                ),
            ));
        }
        let models = self.default.len();
        if models > MAX_MODELS {
            return Err(ConfigError::invalid(
                "models.default",
                format!("{models} models are too many: must name at most {MAX_MODELS}"),
            ));
        }
        self.check_providers()
    }
}
