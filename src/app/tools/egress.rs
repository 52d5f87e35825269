//! What tools may reach.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ConfigError, EgressSettings, ms};
use crate::tool::{EgressClient, EgressLimits, EgressPolicy, SystemLookup};

pub(super) struct Egress {
    policy: EgressPolicy,
    connect_timeout: Duration,
}

impl Egress {
    pub(super) fn new(settings: &EgressSettings) -> Result<Self, ConfigError> {
        let policy = EgressPolicy::new(&settings.allow, &settings.ports);
        Ok(Self {
            policy: policy.map_err(|why| ConfigError::invalid("tools.egress.allow", why))?,
            connect_timeout: ms(settings.connect_timeout_ms),
        })
    }

    pub(super) fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    pub(super) fn client(
        &self,
        policy: EgressPolicy,
        redirects: usize,
    ) -> Result<EgressClient, ConfigError> {
        let limits = EgressLimits {
            connect_timeout: self.connect_timeout,
            redirects,
        };
        let client = EgressClient::new(policy, Arc::new(SystemLookup), &limits);
        client.map_err(|error| {
            let why = format!("the HTTP client for tools cannot be made: {error}");
            ConfigError::invalid("tools.egress", why)
        })
    }
}
