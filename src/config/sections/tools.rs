//! The settings of tools.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::secret::{ArgumentSetting, HIDDEN, HiddenSetting, UrlSetting};
use crate::config::ConfigError;
use crate::config::environment::Variables;
use talkgraph_domain::redact;

sections! {
    /// Tools.
    ToolSettings {
        builtin: Vec<String>,
        calls: usize,
        timeout_ms: u64,
        argument_bytes: usize,
        output_bytes: usize,
        output_parts: usize,
        output_files: usize,
        output_file_bytes: usize,
        output_file_bytes_per_run: u64,
        input_timeout_s: u64,
        response_bytes: usize,
        memories: u32,
        http: Vec<HttpToolSettings>,
        mcp: Vec<McpServerSettings>,
        operations: Vec<OperationToolSettings>,
        approval: BTreeMap<String, String>,
        http_fetch: HttpFetchSettings,
        egress: EgressSettings,
        mcp_start_timeout_ms: u64,
        mcp_restart_delay_ms: u64,
        mcp_tools: usize,
        mcp_list_interval_ms: u64,
        mcp_message_bytes: usize,
        mcp_messages_per_second: u32,
        mcp_log_lines_per_second: u32,
        mcp_wait_ms: u64,
        progress_timeout_ms: u64,
        progress_events_per_second: u32,
        progress_message_bytes: usize,
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
        proxy: ProxyUse,
    }

    /// A tool that is an HTTP request.
    HttpToolSettings {
        name: String,
        description: String,
        method: String,
        url: UrlSetting,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<HiddenSetting>,
        #[serde(default)]
        headers: BTreeMap<String, SecretSetting>,
        #[serde(default)]
        forward_headers: Vec<String>,
        parameters: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response_pointer: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        #[serde(default)]
        idempotent: bool,
    }

    /// A tool that is an operation of our own schema.
    OperationToolSettings {
        name: String,
        description: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operation: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response_pointer: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        #[serde(default)]
        idempotent: bool,
    }

    /// An MCP server.
    McpServerSettings {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<PathBuf>,
        #[serde(default)]
        args: Vec<ArgumentSetting>,
        #[serde(default)]
        env: BTreeMap<String, SecretSetting>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<UrlSetting>,
        #[serde(default)]
        headers: BTreeMap<String, SecretSetting>,
        #[serde(default)]
        forward_headers: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress_timeout_ms: Option<u64>,
        #[serde(default)]
        required: bool,
    }
}

/// Whether tools are reached through the environment's proxies, and what these are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyUse {
    /// Without proxies.
    Off,
    /// A proxy is asked for the address that was judged.
    Address,
    /// A proxy is asked for the name.
    Name,
}

/// A secret, as it is or as the name of the environment variable that has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum SecretSetting {
    /// Itself.
    Value(SecretString),
    /// `{ env = "NAME" }`.
    Environment {
        /// The variable.
        env: String,
    },
}

impl Serialize for SecretSetting {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(HIDDEN)
    }
}

impl ToolSettings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let positive: [(&'static str, u64); 20] = [
            ("tools.calls", self.calls as u64),
            ("tools.timeout_ms", self.timeout_ms),
            ("tools.argument_bytes", self.argument_bytes as u64),
            ("tools.output_bytes", self.output_bytes as u64),
            ("tools.output_parts", self.output_parts as u64),
            ("tools.input_timeout_s", self.input_timeout_s),
            ("tools.response_bytes", self.response_bytes as u64),
            ("tools.memories", u64::from(self.memories)),
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
            ("tools.progress_timeout_ms", self.progress_timeout_ms),
            (
                "tools.progress_events_per_second",
                u64::from(self.progress_events_per_second),
            ),
            ("tools.mcp_start_timeout_ms", self.mcp_start_timeout_ms),
            ("tools.mcp_restart_delay_ms", self.mcp_restart_delay_ms),
            ("tools.mcp_tools", self.mcp_tools as u64),
            ("tools.mcp_list_interval_ms", self.mcp_list_interval_ms),
            ("tools.mcp_message_bytes", self.mcp_message_bytes as u64),
            (
                "tools.mcp_messages_per_second",
                u64::from(self.mcp_messages_per_second),
            ),
            (
                "tools.mcp_log_lines_per_second",
                u64::from(self.mcp_log_lines_per_second),
            ),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::invalid(*key, "must be at least 1")),
            None => Ok(()),
        }
    }

    /// Puts the values of environment variables in the place of their names.
    pub(in crate::config) fn resolve(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        let of_http = self.http.iter_mut().map(|tool| {
            let secrets = tool.headers.iter_mut();
            ("tools.http.headers", &tool.name, secrets)
        });
        let of_mcp = self.mcp.iter_mut().flat_map(|server| {
            let (name, headers, env) = (&server.name, &mut server.headers, &mut server.env);
            [
                ("tools.mcp.headers", name, headers.iter_mut()),
                ("tools.mcp.env", name, env.iter_mut()),
            ]
        });
        for (key, name, secrets) in of_http.chain(of_mcp) {
            for (_, secret) in secrets {
                let SecretSetting::Environment { env } = secret else {
                    continue;
                };
                let missing = || {
                    let why = format!("of {name}: the environment has no {}", redact::name(env));
                    ConfigError::invalid(key, why)
                };
                let value = variables.get(env)?.ok_or_else(missing)?;
                *secret = SecretSetting::Value(value.into_owned().into());
            }
        }
        Ok(())
    }
}
