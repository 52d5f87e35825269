//! Connections to MCP servers.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::model::{
    ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, Implementation,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::elicit;
use super::forward::ForwardingClient;
use super::guard::Guard;
use super::lines::Bounds;
use super::pending_requests::{Waiting, Watched};
use super::program::Program;
use super::{McpServerSpec, McpTransport};
use crate::hidden_characters::escape_hidden;
use talkgraph_domain::redact::Known;

/// The environment variables that a program inherits. Others may be secret.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR",
];

/// The part of a program's output to standard error that becomes one line of the log.
const LOG_BYTES: usize = 1_024;

/// The window in which the lines of the log are counted.
const LOG_WINDOW: Duration = Duration::from_secs(1);

pub(super) type Connection = RunningService<RoleClient, Client>;

/// A connection to a server.
pub(super) struct Reached {
    pub(super) connection: Connection,
    pub(super) too_long: TooLong,
}

/// The record of a message that exceeded its size limit.
pub(super) struct TooLong {
    seen: Arc<AtomicBool>,
    message_bytes: usize,
}

impl TooLong {
    /// The reason why a connection has ended, or `why` if nothing else is known.
    pub(super) fn why(&self, why: String) -> String {
        match self.seen.load(Ordering::Relaxed) {
            true => format!(
                "a message was longer than {} bytes (tools.mcp_message_bytes)",
                self.message_bytes
            ),
            false => why,
        }
    }
}

impl Reached {
    /// See [`TooLong::why`].
    pub(super) fn why(&self, why: String) -> String {
        self.too_long.why(why)
    }
}

/// The client that an MCP server sees.
pub(super) struct Client {
    /// Notified when the server's tools have changed.
    changed: Arc<Notify>,
    /// The calls in progress.
    waiting: Waiting,
    server: Arc<str>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let who = Implementation::new("talkgraph", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(elicit::capabilities(), who)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let of = self.waiting.asking();
        if of.is_none() {
            let server = &*self.server;
            tracing::info!(
                server,
                "elicitation declined: not exactly one caller has active calls"
            );
        }
        tokio::select! {
            answer = elicit::ask(request, of.as_ref()) => Ok(answer),
            () = context.ct.cancelled() => Ok(ElicitResult::new(ElicitationAction::Cancel)),
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// Starts or connects to a server and performs the handshake; the error is for the log.
pub(super) async fn connect(
    spec: &McpServerSpec,
    http: Option<&ForwardingClient>,
    changed: &Arc<Notify>,
    guard: &Arc<Guard>,
) -> Result<Reached, String> {
    let too_long = TooLong {
        seen: Arc::default(),
        message_bytes: spec.message_bytes,
    };
    let waiting = Waiting::default();
    let client = Client {
        changed: Arc::clone(changed),
        waiting: waiting.clone(),
        server: Arc::clone(&spec.name),
    };
    let served = match &spec.transport {
        McpTransport::Stdio { .. } => {
            let program = start(spec, &too_long, &waiting, guard)?;
            client.serve(Watched::new(program, waiting)).await
        }
        McpTransport::Http { url, headers, .. } => {
            let http = http.ok_or("there is no HTTP client")?;
            let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
            config.max_sse_event_size = spec.message_bytes;
            config.max_json_response_size = spec.message_bytes;
            let named = headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()));
            config.custom_headers = named.collect::<HashMap<_, _>>();
            let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
            client.serve(Watched::new(transport, waiting)).await
        }
    };
    match served {
        Ok(connection) => Ok(Reached {
            connection,
            too_long,
        }),
        Err(error) => Err(too_long.why(error.to_string())),
    }
}

fn start(
    spec: &McpServerSpec,
    too_long: &TooLong,
    waiting: &Waiting,
    guard: &Arc<Guard>,
) -> Result<Program, String> {
    let McpTransport::Stdio {
        command,
        arguments,
        environment,
    } = &spec.transport
    else {
        return Err("it is no program".to_owned());
    };
    let mut program = Command::new(command);
    program.args(arguments).env_clear();
    program.stdin(Stdio::piped());
    program.stdout(Stdio::piped());
    program.stderr(Stdio::piped());
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            program.env(name, value);
        }
    }
    for (name, value) in environment {
        program.env(name, value.expose_secret());
    }
    let bounds = Bounds {
        message_bytes: spec.message_bytes,
        messages_per_second: spec.messages_per_second,
    };
    let seen = Arc::clone(&too_long.seen);
    let started = Program::start(program, bounds, seen, waiting.clone(), guard);
    let (process, stderr) = started.map_err(|error| format!("{}: {error}", command.display()))?;
    if let Some(stderr) = stderr {
        tokio::spawn(log(
            Arc::clone(&spec.name),
            spec.transport.logged_secrets(),
            stderr,
            spec.log_lines_per_second,
        ));
    }
    Ok(process)
}

/// Logs a program's standard error until it ends: some lines of each second, and the amount of the
/// rest.
async fn log(server: Arc<str>, secrets: Known, mut stderr: ChildStderr, most: u32) {
    let server = &*server;
    let mut said = vec![0; LOG_BYTES];
    let (mut window, mut lines, mut left_out) = (Instant::now(), 0, 0);
    while let Ok(length @ 1..) = stderr.read(&mut said).await {
        if window.elapsed() > LOG_WINDOW {
            if left_out > 0 {
                tracing::debug!(server, bytes = left_out, "MCP server output omitted");
            }
            (window, lines, left_out) = (Instant::now(), 0, 0);
        }
        if lines >= most {
            left_out += length;
            continue;
        }
        let said = String::from_utf8_lossy(said.get(..length).unwrap_or_default());
        for line in secrets.hide(said.trim_end()).lines() {
            lines += 1;
            if lines <= most {
                tracing::debug!(server, line = &*escape_hidden(line), "MCP server output");
            } else {
                left_out += line.len();
            }
        }
    }
}
