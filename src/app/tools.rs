//! The tools that the settings name.

mod builtin;
mod egress;
mod http;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::HeaderName;
use secrecy::SecretString;

use crate::config::{ConfigError, SecretSetting, ToolSettings};
use crate::tool::{Approval, RegistryLimits, ToolRegistry};

use egress::Egress;

/// What there is to call.
pub(super) struct Tools {
    pub(super) registry: Arc<ToolRegistry>,
    /// The headers of callers that some tool passes on.
    pub(super) forward_headers: Vec<HeaderName>,
}

/// The approvals that the settings name and no tool has taken yet.
type Approvals = BTreeMap<String, Approval>;

/// Makes the tools.
pub(super) fn build(settings: &ToolSettings) -> Result<Tools, ConfigError> {
    let registry = Arc::new(ToolRegistry::new(&RegistryLimits {
        calls: settings.calls,
        argument_bytes: settings.argument_bytes,
    }));
    let egress = Egress::new(&settings.egress)?;
    let mut approvals = approvals(&settings.approval)?;
    builtin::add(&registry, settings, &egress, &mut approvals)?;
    http::add(&registry, settings, &egress, &mut approvals)?;
    if let Some(name) = approvals.keys().next() {
        let why = format!("there is no tool {name:?}");
        return Err(ConfigError::invalid("tools.approval", why));
    }
    Ok(Tools {
        registry,
        forward_headers: forwarded(settings)?,
    })
}

fn approvals(settings: &BTreeMap<String, String>) -> Result<Approvals, ConfigError> {
    let parsed = settings.iter().map(|(name, text)| {
        let approval = Approval::parse(text);
        let approval = approval.map_err(|error| {
            ConfigError::invalid("tools.approval", format!("of {name}: {error}"))
        })?;
        Ok((name.clone(), approval))
    });
    parsed.collect()
}

/// The headers that any tool passes on.
fn forwarded(settings: &ToolSettings) -> Result<Vec<HeaderName>, ConfigError> {
    let mut names = Vec::new();
    for tool in &settings.http {
        names.extend(header_names(
            "tools.http.forward_headers",
            &tool.name,
            &tool.forward_headers,
        )?);
    }
    Ok(names)
}

fn header_names(
    key: &'static str,
    of: &str,
    names: &[String],
) -> Result<Vec<HeaderName>, ConfigError> {
    let parsed = names.iter().map(|name| {
        let parsed = name.parse();
        parsed.map_err(|_| ConfigError::invalid(key, format!("of {of}: {name:?} is no header")))
    });
    parsed.collect()
}

/// Named secrets. Those in the environment were found when the settings were read.
fn secrets(settings: &BTreeMap<String, SecretSetting>) -> Vec<(String, SecretString)> {
    let found = settings.iter().filter_map(|(name, secret)| match secret {
        SecretSetting::Value(value) => Some((name.clone(), value.clone())),
        SecretSetting::Environment { .. } => None,
    });
    found.collect()
}
