//! Tools of MCP servers (Model Context Protocol, 2025-06-18 and later), over stdio and streamable
//! HTTP.
//!
//! Each server has a keeper: a task that connects, lists the tools, lists them again when the
//! server reports changes, and reconnects with increasing delays when the connection is lost. The
//! tools stay listed meanwhile; calls of them fail as unreachable.
//!
//! Models see a server's tools under mapped names (`names`). A program runs in a process group
//! (`group`), which a separate process ends if this server dies (`guard`). Messages are parsed
//! tolerantly (`message`, `http_answers`), and an unreadable one ends the call that it answers.

mod call;
mod connect;
mod content;
mod elicit;
mod failure;
mod forward;
mod group;
mod guard;
mod http_answers;
mod keeper;
mod lines;
mod list;
mod message;
mod names;
mod pending_requests;
mod program;
mod register;
mod tasks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};

use super::Approval;
use talkgraph_domain::redact::Known;
use talkgraph_proxy::Proxies;

pub use guard::{Guard as McpGuard, serve as guard_programs};
pub use keeper::{McpKeepers, ServerNameError};

/// The settings of an MCP server.
pub struct McpServerSpec {
    /// The prefix of its tools' names: `name__tool`.
    pub name: Arc<str>,
    /// The names of all servers, its own included: a tool's name belongs to the longest that fits.
    pub others: Vec<String>,
    /// The transport.
    pub transport: McpTransport,
    /// The time limit for start, handshake and listing of tools together.
    pub start_timeout: Duration,
    /// The proxies for a server over HTTP.
    pub proxies: Arc<Proxies>,
    /// The time limit of a tool call.
    pub timeout: Duration,
    /// The time limit of a call that reports progress.
    pub progress_timeout: Duration,
    /// The longest message of a report of progress, in bytes.
    pub progress_message_bytes: usize,
    /// True if this server is not ready without it.
    pub required: bool,
    /// The longest delay between two attempts to connect.
    pub restart_delay: Duration,
    /// The shortest time between two listings of its tools.
    pub list_interval: Duration,
    /// The maximum number of tools that are used.
    pub tools: usize,
    /// The largest message from it, and the largest listing of its tools, in bytes.
    pub message_bytes: usize,
    /// The maximum number of messages per second that are read from a program.
    pub messages_per_second: u32,
    /// The maximum number of lines per second of a program's standard error that are logged.
    pub log_lines_per_second: u32,
    /// The largest output of one of its tools, in bytes.
    pub output_bytes: usize,
    /// The calls that need approval, by the tool's name in this registry, or `server__tool` with
    /// its original name.
    pub approvals: BTreeMap<String, Approval>,
}

impl McpTransport {
    /// Secrets of the settings that the server receives. If it repeats one in an error, the secret
    /// is removed for logs, models and callers.
    fn secrets(&self) -> Known {
        match self {
            Self::Stdio { environment, .. } => {
                Known::new(environment.iter().map(|(_, value)| value.expose_secret()))
            }
            Self::Http { url, headers, .. } => {
                let values = headers.values().filter_map(|value| value.to_str().ok());
                let parameters: Vec<_> = url.query_pairs().map(|(_, value)| value).collect();
                let parameters = parameters.iter().map(AsRef::as_ref);
                Known::new(values.chain(parameters).chain(url.password()))
            }
        }
    }

    /// The same as [`Self::secrets`], and a program's arguments: it prints them when it does not
    /// start.
    fn logged_secrets(&self) -> Known {
        let Self::Stdio {
            arguments,
            environment,
            ..
        } = self
        else {
            return self.secrets();
        };
        let values = environment.iter().map(|(_, value)| value.expose_secret());
        // A program may repeat the value of --option=value alone.
        let arguments = arguments.iter().map(|argument| {
            let value = argument.split_once('=').map(|(_, value)| value);
            value.unwrap_or(argument)
        });
        let arguments = arguments.filter(|argument| !argument.starts_with("--"));
        Known::new(values.chain(arguments))
    }
}

/// The transport of an MCP server.
pub enum McpTransport {
    /// A program that this server starts, with messages over its standard input and output.
    Stdio {
        /// The program.
        command: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Its environment variables in addition to the inherited ones.
        environment: Vec<(String, SecretString)>,
    },
    /// A server at a URL.
    Http {
        /// The URL.
        url: Url,
        /// Headers of each request.
        headers: HeaderMap,
        /// The caller's headers that are forwarded with calls.
        forward_headers: Vec<HeaderName>,
    },
}
