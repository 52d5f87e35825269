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
    }
}

impl ToolSettings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let positive: [(&'static str, u64); 4] = [
            ("tools.calls", self.calls as u64),
            ("tools.timeout_ms", self.timeout_ms),
            ("tools.argument_bytes", self.argument_bytes as u64),
            ("tools.output_bytes", self.output_bytes as u64),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::invalid(key, "must be at least 1")),
            None => Ok(()),
        }
    }
}
