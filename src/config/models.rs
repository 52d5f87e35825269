//! What the settings of model providers may be.

use super::{ConfigError, ModelsSettings};
use talkgraph_domain::agent::MAX_MODELS;

/// Far beyond any use: more would only multiply the load on a provider in trouble.
const MAX_ATTEMPTS: u64 = 10;
/// A retry for every call.
const MAX_RETRY_PERCENT: u64 = 100;
/// An hour: a run does not wait longer.
const MAX_WAIT_MS: u64 = 3_600_000;
/// A month: models change.
const MAX_MEMORY_S: u64 = 2_592_000;

impl ModelsSettings {
    /// Refuses what no call could work with.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let resilience = &self.resilience;
        let at_most = [
            (
                "models.resilience.attempts",
                u64::from(resilience.attempts),
                MAX_ATTEMPTS,
            ),
            (
                "models.resilience.retry_percent",
                u64::from(resilience.retry_percent),
                MAX_RETRY_PERCENT,
            ),
            (
                "models.resilience.backoff_cap_ms",
                resilience.backoff_cap_ms,
                MAX_WAIT_MS,
            ),
            (
                "models.resilience.retry_after_cap_ms",
                resilience.retry_after_cap_ms,
                MAX_WAIT_MS,
            ),
            (
                "models.resilience.loading_timeout_ms",
                resilience.loading_timeout_ms,
                MAX_WAIT_MS,
            ),
            (
                "models.resilience.refused_parameters_s",
                resilience.refused_parameters_s,
                MAX_MEMORY_S,
            ),
            (
                "models.resilience.breaker_pause_ms",
                resilience.breaker_pause_ms,
                MAX_WAIT_MS,
            ),
        ];
        if let Some((key, _, most)) = at_most.iter().find(|(_, value, most)| value > most) {
            return Err(ConfigError::invalid(
                *key,
                format!("must be at most {most}"),
            ));
        }
        if resilience.backoff_ms > resilience.backoff_cap_ms {
            return Err(ConfigError::invalid(
                "models.resilience.backoff_ms",
                format!(
                    "at most models.resilience.backoff_cap_ms ({})",
                    resilience.backoff_cap_ms
                ),
            ));
        }
        if self.default.len() > MAX_MODELS {
            return Err(ConfigError::invalid(
                "models.default",
                format!("must name at most {MAX_MODELS} models"),
            ));
        }
        self.check_providers()
    }
}
