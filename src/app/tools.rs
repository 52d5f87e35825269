//! The tools that the settings name.

mod builtin;
mod egress;
mod http;
mod mcp;
mod memory;
pub(super) mod operations;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::HeaderName;
use secrecy::SecretString;

use crate::config::{ConfigError, SecretSetting, Settings, ToolSettings, ms};
use talkgraph_evaluation::Evaluator;
use talkgraph_store::SharedStore;
use talkgraph_tools::{
    Approval, EgressClient, McpGuard, McpKeepers, McpServerSpec, Memories, OutputLimits,
    RegistryLimits, ToolRegistry,
};

use egress::Egress;
use operations::{Documents, Operations};

/// The most redirects to a file: a link may be short, and its storage elsewhere.
const FILE_REDIRECTS: usize = 5;

/// The tools, and the keepers of their servers.
pub(super) struct Tools {
    pub(super) registry: Arc<ToolRegistry>,
    pub(super) keepers: McpKeepers,
    /// Those of them that are operations, still to be validated.
    pub(super) operations: Operations,
    /// The client for files of messages.
    pub(super) files: EgressClient,
    /// The headers of callers that any tool passes on.
    pub(super) forward_headers: Vec<HeaderName>,
}

/// The approvals that the settings name and no tool has taken yet.
type Approvals = BTreeMap<String, Approval>;

/// Creates the tools. MCP servers are reached in the background.
pub(super) async fn build(
    settings: &Settings,
    store: &SharedStore,
    documents: &Documents<'_>,
    evaluator: &Evaluator,
) -> Result<Tools, ConfigError> {
    let guard = McpGuard::new(settings.evaluation.program.clone());
    let settings = &settings.tools;
    let registry = registry(settings, evaluator);
    let egress = Egress::new(&settings.egress)?;
    let mut approvals = approvals(&settings.approval, evaluator).await?;
    let memories: Arc<dyn Memories> = Arc::new(memory::Stored {
        store: Arc::clone(store),
        most: settings.memories,
    });
    let own = builtin::Parts {
        egress: &egress,
        memories: &memories,
        evaluator,
    };
    builtin::add(&registry, settings, own, &mut approvals).await?;
    http::add(&registry, settings, &egress, evaluator, &mut approvals).await?;
    let operations = operations::add(&registry, settings, documents, &mut approvals).await?;
    let servers = mcp::specs(settings, egress.proxies(), &mut approvals)?;
    if let Some(name) = approvals.keys().next() {
        let why = format!("there is no tool {name:?}");
        return Err(ConfigError::invalid("tools.approval", why));
    }
    let keepers = keep(servers, guard, &registry)?;
    Ok(Tools {
        registry,
        keepers,
        operations,
        files: egress.client(egress.policy().clone(), FILE_REDIRECTS)?,
        forward_headers: forwarded(settings)?,
    })
}

fn registry(settings: &ToolSettings, evaluator: &Evaluator) -> Arc<ToolRegistry> {
    let limits = RegistryLimits {
        calls: settings.calls,
        argument_bytes: settings.argument_bytes,
        server_wait: ms(settings.mcp_wait_ms),
        output: OutputLimits {
            parts: settings.output_parts,
            files: settings.output_files,
            file_bytes: settings.output_file_bytes,
        },
    };
    Arc::new(ToolRegistry::new(&limits, evaluator.clone()))
}

fn keep(
    servers: Vec<McpServerSpec>,
    guard: McpGuard,
    registry: &Arc<ToolRegistry>,
) -> Result<McpKeepers, ConfigError> {
    let keepers = McpKeepers::new(guard);
    for server in servers {
        let kept = keepers.keep(server, registry);
        kept.map_err(|error| ConfigError::invalid("tools.mcp", error.to_string()))?;
    }
    Ok(keepers)
}

/// The tools of MCP servers alone, and their keepers.
pub(super) struct Reached {
    pub(super) registry: Arc<ToolRegistry>,
    pub(super) keepers: McpKeepers,
}

/// Reaches the MCP servers, and waits until each is reached or has failed.
pub(super) async fn reach(
    settings: &Settings,
    evaluator: &Evaluator,
) -> Result<Reached, ConfigError> {
    let guard = McpGuard::new(settings.evaluation.program.clone());
    let settings = &settings.tools;
    let registry = registry(settings, evaluator);
    let egress = Egress::new(&settings.egress)?;
    let mut approvals = approvals(&settings.approval, evaluator).await?;
    // Their names may be those of a server's tools.
    http::add(&registry, settings, &egress, evaluator, &mut approvals).await?;
    let servers = mcp::specs(settings, egress.proxies(), &mut approvals)?;
    let keepers = keep(servers, guard, &registry)?;
    let most = ms(settings.mcp_start_timeout_ms);
    registry.servers().all_settled(most).await;
    Ok(Reached { registry, keepers })
}

async fn approvals(
    settings: &BTreeMap<String, String>,
    evaluator: &Evaluator,
) -> Result<Approvals, ConfigError> {
    let mut approvals = Approvals::new();
    for (name, text) in settings {
        let approval = Approval::parse(evaluator, text).await;
        let approval = approval.map_err(|error| {
            ConfigError::invalid("tools.approval", format!("of {name}: {error}"))
        })?;
        approvals.insert(name.clone(), approval);
    }
    Ok(approvals)
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
    for server in &settings.mcp {
        names.extend(header_names(
            "tools.mcp.forward_headers",
            &server.name,
            &server.forward_headers,
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
pub(super) fn secrets(settings: &BTreeMap<String, SecretSetting>) -> Vec<(String, SecretString)> {
    let found = settings.iter().filter_map(|(name, secret)| match secret {
        SecretSetting::Value(value) => Some((name.clone(), value.clone())),
        SecretSetting::Environment { .. } => None,
    });
    found.collect()
}
