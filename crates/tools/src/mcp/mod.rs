//! Tools of MCP servers (Model Context Protocol, 2025-06-18 and later), over stdio and
//! streamable HTTP.
//!
//! Each server has a keeper: a task that connects, lists the tools, lists them again when the
//! server says that they have changed, and connects again, ever more slowly, when it is gone.
//! Its tools stay listed meanwhile; calls of them fail as unreachable.
//!
//! Models see a server's tools under names of their own (`names`). A program is a process group
//! (`group`), which a process of its own ends when this server is gone (`guard`). What a server
//! says is read tolerantly (`message`, `answered`), and whatever cannot be read ends the call that
//! it answers.

mod answered;
mod call;
mod connect;
mod content;
mod elicit;
mod failure;
mod forward;
mod group;
mod guard;
mod keep;
mod lines;
mod list;
mod message;
mod names;
mod program;
mod register;
mod tasks;
mod watched;

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
pub use keep::{McpKeepers, ServerNameError};

/// An MCP server as the settings have it.
pub struct McpServerSpec {
    /// Goes before the names of its tools: `name__tool`.
    pub name: Arc<str>,
    /// The names of all servers, its own included: a tool's name is of the longest that fits.
    pub others: Vec<String>,
    /// How it is reached.
    pub transport: McpTransport,
    /// How long starting it, the handshake and listing its tools may take together.
    pub start_timeout: Duration,
    /// The proxies on the way to a server over HTTP.
    pub proxies: Arc<Proxies>,
    /// How long one of its tools may take.
    pub timeout: Duration,
    /// The longest time of a call that reports progress.
    pub progress_timeout: Duration,
    /// The longest message of a report of progress, in bytes.
    pub progress_message_bytes: usize,
    /// True for one without which this server is not ready.
    pub required: bool,
    /// The longest wait between two attempts to reach it.
    pub restart_delay: Duration,
    /// The shortest time between two listings of its tools.
    pub list_interval: Duration,
    /// The most tools that are taken of it.
    pub tools: usize,
    /// The largest message from it, and the largest listing of its tools, in bytes.
    pub message_bytes: usize,
    /// The number of messages a second that are read of a program.
    pub messages_per_second: u32,
    /// The number of lines a second of a program's standard error that are logged.
    pub log_lines_per_second: u32,
    /// The largest output of one of its tools, in bytes.
    pub output_bytes: usize,
    /// Which calls need approval, by the tool's name in this registry, or `server__tool` with the
    /// name that the server has for it.
    pub approvals: BTreeMap<String, Approval>,
}

impl McpTransport {
    /// Secrets of the settings that the server is given. If it repeats one in an error, no
    /// log, model or caller is shown it.
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

    /// As [`Self::secrets`], and a program's arguments: it prints them when it does not start.
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
        // The value of --option=value may be repeated alone.
        let arguments = arguments.iter().map(|argument| {
            let value = argument.split_once('=').map(|(_, value)| value);
            value.unwrap_or(argument)
        });
        let arguments = arguments.filter(|argument| !argument.starts_with("--"));
        Known::new(values.chain(arguments))
    }
}

/// How an MCP server is reached.
pub enum McpTransport {
    /// A program that this server starts, and speaks with through its standard input and
    /// output.
    Stdio {
        /// The program.
        command: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// What it has in its environment besides what any program needs.
        environment: Vec<(String, SecretString)>,
    },
    /// A server at a URL.
    Http {
        /// Where.
        url: Url,
        /// Headers of each request.
        headers: HeaderMap,
        /// The caller's headers that are passed on with its calls.
        forward_headers: Vec<HeaderName>,
    },
}
