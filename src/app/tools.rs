//! The tools that the settings name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ConfigError, EgressSettings, HttpFetchSettings, ToolSettings, ms};
use crate::tool::{
    Approval, Calculator, CurrentTime, EgressClient, EgressLimits, EgressPolicy, HttpFetch,
    RegisterError, RegistryLimits, SystemLookup, Tool, ToolDefinition, ToolRegistry,
};

/// Builds the registry: the built-in tools that are wanted.
pub(super) fn build(settings: &ToolSettings) -> Result<Arc<ToolRegistry>, ConfigError> {
    let registry = Arc::new(ToolRegistry::new(&RegistryLimits {
        calls: settings.calls,
        argument_bytes: settings.argument_bytes,
    }));
    let egress = Egress::new(&settings.egress)?;
    let mut approvals = approvals(&settings.approval)?;
    for name in &settings.builtin {
        let (definition, tool) = builtin(settings, &egress, name, &mut approvals)?;
        let inserted = registry.insert(definition, tool);
        inserted.map_err(|error| invalid("tools.builtin", &error))?;
    }
    if let Some(name) = approvals.keys().next() {
        let why = format!("there is no tool {name:?}");
        return Err(ConfigError::invalid("tools.approval", why));
    }
    Ok(registry)
}

fn builtin(
    settings: &ToolSettings,
    egress: &Egress,
    name: &str,
    approvals: &mut BTreeMap<String, Approval>,
) -> Result<(ToolDefinition, Arc<dyn Tool>), ConfigError> {
    let (description, parameters, tool): (_, _, Arc<dyn Tool>) = match name {
        CurrentTime::NAME => (
            CurrentTime::DESCRIPTION,
            CurrentTime::parameters(),
            Arc::new(CurrentTime),
        ),
        Calculator::NAME => (
            Calculator::DESCRIPTION,
            Calculator::parameters(),
            Arc::new(Calculator),
        ),
        HttpFetch::NAME => (
            HttpFetch::DESCRIPTION,
            HttpFetch::parameters(),
            Arc::new(http_fetch(&settings.http_fetch, egress)?),
        ),
        _ => {
            let why = format!("there is no built-in tool {name:?}");
            return Err(ConfigError::invalid("tools.builtin", why));
        }
    };
    let definition = ToolDefinition {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters,
        idempotent: true,
        approval: approvals.remove(name).unwrap_or(Approval::Never),
        timeout: ms(settings.timeout_ms),
        output_bytes: settings.output_bytes,
    };
    Ok((definition, tool))
}

fn http_fetch(settings: &HttpFetchSettings, egress: &Egress) -> Result<HttpFetch, ConfigError> {
    let client = egress.client(egress.policy.clone(), settings.redirects)?;
    let (bytes, decoded_bytes) = (settings.body_bytes, settings.decoded_bytes);
    Ok(HttpFetch::new(client, bytes, decoded_bytes))
}

/// What tools may reach.
struct Egress {
    policy: EgressPolicy,
    connect_timeout: Duration,
}

impl Egress {
    fn new(settings: &EgressSettings) -> Result<Self, ConfigError> {
        let policy = EgressPolicy::new(&settings.allow, &settings.ports);
        Ok(Self {
            policy: policy.map_err(|why| ConfigError::invalid("tools.egress.allow", why))?,
            connect_timeout: ms(settings.connect_timeout_ms),
        })
    }

    fn client(&self, policy: EgressPolicy, redirects: usize) -> Result<EgressClient, ConfigError> {
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

/// The approvals that the settings name, by tool; whoever makes a tool takes its own out.
fn approvals(
    settings: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Approval>, ConfigError> {
    let parsed = settings.iter().map(|(name, text)| {
        let approval = Approval::parse(text);
        let approval = approval.map_err(|error| {
            ConfigError::invalid("tools.approval", format!("of {name}: {error}"))
        })?;
        Ok((name.clone(), approval))
    });
    parsed.collect()
}

fn invalid(key: &'static str, error: &RegisterError) -> ConfigError {
    ConfigError::invalid(key, error.to_string())
}
