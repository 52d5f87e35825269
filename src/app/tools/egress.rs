//! The reach of tools.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ConfigError, EgressSettings, ProxyUse, ms};
use talkgraph_proxy::Proxies;
use talkgraph_tools::{EgressClient, EgressLimits, EgressPolicy, ProxyTarget, SystemLookup};

pub(super) struct Egress {
    policy: EgressPolicy,
    connect_timeout: Duration,
    proxies: Arc<Proxies>,
    proxy_target: ProxyTarget,
}

impl Egress {
    pub(super) fn new(settings: &EgressSettings) -> Result<Self, ConfigError> {
        let policy = EgressPolicy::new(&settings.allow, &settings.ports);
        Ok(Self {
            policy: policy.map_err(|why| ConfigError::invalid("tools.egress.allow", why))?,
            connect_timeout: ms(settings.connect_timeout_ms),
            proxies: Arc::new(proxies(settings.proxy)?),
            proxy_target: match settings.proxy {
                ProxyUse::Off | ProxyUse::Address => ProxyTarget::Address,
                ProxyUse::Name => ProxyTarget::Name,
            },
        })
    }

    pub(super) fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    pub(super) fn proxies(&self) -> &Arc<Proxies> {
        &self.proxies
    }

    pub(super) fn client(
        &self,
        policy: EgressPolicy,
        redirects: usize,
    ) -> Result<EgressClient, ConfigError> {
        let limits = EgressLimits {
            connect_timeout: self.connect_timeout,
            redirects,
            proxies: Arc::clone(&self.proxies),
            proxy_target: self.proxy_target,
        };
        let client = EgressClient::new(policy, Arc::new(SystemLookup), &limits);
        client.map_err(|error| {
            let why = format!("the HTTP client for tools cannot be created: {error}");
            ConfigError::invalid("tools.egress", why)
        })
    }
}

fn proxies(proxy: ProxyUse) -> Result<Proxies, ConfigError> {
    match proxy {
        ProxyUse::Off => Ok(Proxies::default()),
        ProxyUse::Address | ProxyUse::Name => Proxies::from_env()
            .map_err(|error| ConfigError::invalid("tools.egress.proxy", error.to_string())),
    }
}
