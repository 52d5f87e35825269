//! The settings of tools.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

sections! {
    /// Tools.
    ToolSettings {
        builtin: Vec<String>,
        calls: usize,
        timeout_ms: u64,
        argument_bytes: usize,
        output_bytes: usize,
        approval: BTreeMap<String, String>,
        http_fetch: HttpFetchSettings,
        egress: EgressSettings,
    }

    /// Fetching pages.
    HttpFetchSettings {
        body_bytes: usize,
        decoded_bytes: usize,
        redirects: usize,
    }

    /// What tools may reach.
    EgressSettings {
        allow: Vec<String>,
        ports: Vec<u16>,
        connect_timeout_ms: u64,
    }
}

impl ToolSettings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let positive: [(&'static str, u64); 7] = [
            ("tools.calls", self.calls as u64),
            ("tools.timeout_ms", self.timeout_ms),
            ("tools.argument_bytes", self.argument_bytes as u64),
            ("tools.output_bytes", self.output_bytes as u64),
            (
                "tools.http_fetch.body_bytes",
                self.http_fetch.body_bytes as u64,
            ),
            (
                "tools.http_fetch.decoded_bytes",
                self.http_fetch.decoded_bytes as u64,
            ),
            (
                "tools.egress.connect_timeout_ms",
                self.egress.connect_timeout_ms,
            ),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::invalid(*key, "must be at least 1")),
            None => Ok(()),
        }
    }
}
