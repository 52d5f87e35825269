//! The MCP servers.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderMap;

use super::{Approvals, header_names, secrets};
use crate::config::{ConfigError, McpServerSettings, ToolSettings, ms};
use talkgraph_proxy::Proxies;
use talkgraph_tools::{McpKeepers, McpServerSpec, McpTransport, http_headers};

/// The specification of each server. Takes the approvals of its tools, which may still be
/// unknown.
pub(super) fn specs(
    settings: &ToolSettings,
    proxies: &Arc<Proxies>,
    approvals: &mut Approvals,
) -> Result<Vec<McpServerSpec>, ConfigError> {
    let mut names = BTreeSet::new();
    let specs = settings.mcp.iter().map(|server| {
        let name = &server.name;
        let checked = McpKeepers::check_name(name);
        checked.map_err(|error| ConfigError::invalid("tools.mcp.name", error.to_string()))?;
        // Also one whose tools would have the same names.
        if !names.insert(McpKeepers::prefix(name)) {
            let why =
                format!("there is another server {name:?}, or one whose tools have its names");
            return Err(ConfigError::invalid("tools.mcp.name", why));
        }
        // Of several names that a tool's begins with, the longest is its server's.
        let all = settings.mcp.iter().map(|server| server.name.as_str());
        let all: Vec<_> = all.collect();
        let of_server =
            |tool: &String, _: &mut _| McpKeepers::server_of(tool, &all) == Some(name.as_str());
        Ok(McpServerSpec {
            name: name.as_str().into(),
            others: all.iter().map(|name| (*name).to_owned()).collect(),
            transport: transport(server)?,
            proxies: Arc::clone(proxies),
            start_timeout: ms(settings.mcp_start_timeout_ms),
            timeout: ms(server.timeout_ms.unwrap_or(settings.timeout_ms)),
            progress_timeout: ms(server
                .progress_timeout_ms
                .unwrap_or(settings.progress_timeout_ms)),
            progress_message_bytes: settings.progress_message_bytes,
            required: server.required,
            restart_delay: ms(settings.mcp_restart_delay_ms),
            list_interval: ms(settings.mcp_list_interval_ms),
            tools: settings.mcp_tools,
            message_bytes: settings.mcp_message_bytes,
            messages_per_second: settings.mcp_messages_per_second,
            log_lines_per_second: settings.mcp_log_lines_per_second,
            output_bytes: settings.output_bytes,
            approvals: approvals.extract_if(.., of_server).collect(),
        })
    });
    specs.collect()
}

fn transport(server: &McpServerSettings) -> Result<McpTransport, ConfigError> {
    let name = &server.name;
    let wrong = |key, why: &str| ConfigError::invalid(key, format!("of {name}: {why}"));
    match (&server.command, &server.url) {
        (Some(command), None) => {
            let arguments = server.args.iter().map(|argument| argument.expose().into());
            Ok(McpTransport::Stdio {
                command: command.clone(),
                arguments: arguments.collect(),
                environment: secrets(&server.env),
            })
        }
        (None, Some(url)) => {
            let url = reqwest::Url::parse(url.expose());
            let url = url.map_err(|error| wrong("tools.mcp.url", &error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(wrong("tools.mcp.url", "must be an http or https URL"));
            }
            let headers: HeaderMap = http_headers(&secrets(&server.headers))
                .map_err(|why| wrong("tools.mcp.headers", &why))?;
            let key = "tools.mcp.forward_headers";
            Ok(McpTransport::Http {
                url,
                headers,
                forward_headers: header_names(key, name, &server.forward_headers)?,
            })
        }
        _ => Err(wrong(
            "tools.mcp.command",
            "needs either a command or a url",
        )),
    }
}
