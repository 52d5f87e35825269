//! Reaching a server.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;

use rmcp::model::{ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};
use tokio::sync::Notify;

use super::forward::ForwardingClient;
use super::{McpServerSpec, McpTransport};
use crate::domain::redact::Known;

/// What a program needs of this server's environment. The rest may be secret.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR",
];

/// How much of what a program says to nobody in particular becomes one line of the log.
const LOG_BYTES: usize = 1_024;

pub(super) type Connection = RunningService<RoleClient, Client>;

/// What this server is to an MCP server.
pub(super) struct Client {
    /// Told when the server's tools have changed.
    changed: Arc<Notify>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let who = Implementation::new("talkgraph", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), who)
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// Starts or calls a server and shakes hands; the error is for the log.
pub(super) async fn connect(
    spec: &McpServerSpec,
    http: Option<&ForwardingClient>,
    changed: &Arc<Notify>,
) -> Result<Connection, String> {
    let client = Client {
        changed: Arc::clone(changed),
    };
    let served = match &spec.transport {
        McpTransport::Stdio { .. } => client.serve(start(spec)?).await,
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
            client.serve(transport).await
        }
    };
    served.map_err(|error| error.to_string())
}

fn start(spec: &McpServerSpec) -> Result<TokioChildProcess, String> {
    let McpTransport::Stdio {
        command,
        arguments,
        environment,
    } = &spec.transport
    else {
        return Err("it is no program".to_owned());
    };
    let mut program = Command::new(command);
    program.args(arguments).env_clear().kill_on_drop(true);
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            program.env(name, value);
        }
    }
    for (name, value) in environment {
        program.env(name, value.expose_secret());
    }
    let started = TokioChildProcess::builder(program)
        .stderr(Stdio::piped())
        .spawn();
    let (process, stderr) = started.map_err(|error| format!("{}: {error}", command.display()))?;
    if let Some(stderr) = stderr {
        let secrets = spec.transport.logged_secrets();
        tokio::spawn(log(spec.name.clone(), secrets, stderr));
    }
    Ok(process)
}

/// Logs what a program says, until it ends.
async fn log(server: String, secrets: Known, mut stderr: ChildStderr) {
    let mut said = vec![0; LOG_BYTES];
    while let Ok(length @ 1..) = stderr.read(&mut said).await {
        let said = String::from_utf8_lossy(&said[..length]);
        let said = secrets.hide(said.trim_end());
        tracing::debug!(server, said = &*said, "an MCP server says");
    }
}
