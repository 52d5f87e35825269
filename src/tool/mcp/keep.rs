//! Keeping servers at hand.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use rmcp::model::{PaginatedRequestParams, Tool as Listed};
use rmcp::{Peer, RoleClient};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::call::{Line, Link, McpTool};
use super::connect::{Connection, connect};
use super::forward::ForwardingClient;
use super::{McpServerSpec, McpTransport};
use crate::domain::redact::Known;
use crate::tool::output::shortened;
use crate::tool::{Approval, Tool, ToolDefinition, ToolRegistry, is_valid_name};

/// Between the server's name and its tool's.
const SEPARATOR: &str = "__";

/// The longest name of a server: its tools' names need the rest.
const SERVER_NAME_CHARS: usize = 24;

/// The most tools of one server; a model could not choose among more.
const TOOLS: usize = 128;

/// The longest description of a tool that models are shown, in bytes.
const DESCRIPTION_BYTES: usize = 4_096;

/// The first wait before a server is reached again; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// A server that has been there for so long is given the first wait again.
const STABLE: Duration = Duration::from_secs(60);

/// How long a stopping server's programs get to end by themselves.
const ENDING: Duration = Duration::from_secs(5);

/// A server cannot be called that.
#[derive(Debug, Error)]
#[error("{0:?} must be 1 to {SERVER_NAME_CHARS} of letters, digits, _ and -, without __")]
pub struct ServerNameError(String);

/// The tasks that keep MCP servers at hand. They end when this is dropped.
pub struct McpKeepers {
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Default for McpKeepers {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Self {
            tasks: TaskTracker::new(),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        }
    }
}

impl McpKeepers {
    /// Whether a server may be called that.
    ///
    /// # Errors
    /// With what is allowed.
    pub fn check_name(name: &str) -> Result<(), ServerNameError> {
        let fits = name.len() <= SERVER_NAME_CHARS && !name.contains(SEPARATOR);
        match fits && is_valid_name(name) {
            true => Ok(()),
            false => Err(ServerNameError(name.to_owned())),
        }
    }

    /// The server that a tool's name is of, if it has the form of one.
    pub fn server_of(tool: &str) -> Option<&str> {
        tool.split_once(SEPARATOR).map(|(server, _)| server)
    }

    /// Keeps a server at hand from now on. Comes back once it was reached, or could not be,
    /// for the first time; until then its tools are not there.
    ///
    /// # Errors
    /// When there can be no HTTP client at all.
    pub async fn keep(
        &self,
        spec: McpServerSpec,
        registry: &Arc<ToolRegistry>,
    ) -> Result<(), reqwest::Error> {
        let (http, forward) = match &spec.transport {
            McpTransport::Http {
                forward_headers, ..
            } => (
                Some(ForwardingClient::new(spec.start_timeout)?),
                forward_headers.as_slice().into(),
            ),
            McpTransport::Stdio { .. } => (None, Arc::default()),
        };
        let keeper = Keeper {
            secrets: spec.transport.secrets(),
            spec,
            http,
            forward,
            registry: Arc::clone(registry),
            line: Arc::default(),
            changed: Arc::default(),
        };
        let (tell, told) = oneshot::channel();
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { keeper.keep(stop, tell).await });
        // It is told in any case, unless the task was stopped before.
        let _ = told.await;
        Ok(())
    }

    /// Lets the servers go, and waits until their programs have ended.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(ENDING, self.tasks.wait()).await.is_err() {
            tracing::warn!("an MCP server did not end in time");
        }
    }
}

struct Keeper {
    spec: McpServerSpec,
    secrets: Known,
    http: Option<ForwardingClient>,
    forward: Arc<[HeaderName]>,
    registry: Arc<ToolRegistry>,
    line: Arc<Line>,
    changed: Arc<Notify>,
}

impl Keeper {
    async fn keep(self, stop: CancellationToken, first: oneshot::Sender<()>) {
        let mut first = Some(first);
        let mut delay = FIRST_DELAY;
        loop {
            let began = Instant::now();
            let reached = tokio::select! {
                reached = self.reach() => reached,
                () = stop.cancelled() => return,
            };
            if let Some(first) = first.take() {
                // Nobody waits when the start itself was given up.
                let _ = first.send(());
            }
            let why = match reached {
                Ok((connection, broken)) => match self.stay(connection, &broken, &stop).await {
                    Some(why) => why,
                    None => return,
                },
                Err(why) => why,
            };
            if began.elapsed() > STABLE {
                delay = FIRST_DELAY;
            }
            let server = &self.spec.name;
            let why = self.secrets.hide(&why);
            tracing::warn!(server, why = &*why, again_in = ?delay, "an MCP server is not there");
            tokio::select! {
                () = sleep(delay) => {}
                () = stop.cancelled() => return,
            }
            delay = (delay * 2).min(self.spec.restart_delay);
        }
    }

    /// Connects and lists the tools; gives the connection, and what tells that it is dead.
    async fn reach(&self) -> Result<(Connection, Arc<Notify>), String> {
        let reached = timeout(self.spec.start_timeout, async {
            let connection = connect(&self.spec, self.http.as_ref(), &self.changed).await?;
            let tools = list(connection.peer()).await?;
            Ok::<_, String>((connection, tools))
        });
        let (connection, tools) = match reached.await {
            Ok(reached) => reached?,
            Err(_) => return Err("it did not answer in time".to_owned()),
        };
        let broken = Arc::<Notify>::default();
        self.line.set(Some(Link {
            peer: connection.peer().clone(),
            broken: Arc::clone(&broken),
        }));
        self.register(tools);
        Ok((connection, broken))
    }

    /// Stays with a server while it is there; says why it is not any more, or nothing when
    /// this server stops.
    async fn stay(
        &self,
        connection: Connection,
        broken: &Notify,
        stop: &CancellationToken,
    ) -> Option<String> {
        let peer = connection.peer().clone();
        let cancel = connection.cancellation_token();
        let mut ended = std::pin::pin!(connection.waiting());
        let why = loop {
            tokio::select! {
                _ = &mut ended => {
                    self.line.set(None);
                    return Some("it has ended".to_owned());
                }
                () = stop.cancelled() => break None,
                () = broken.notified() => break Some("a call did not get through".to_owned()),
                () = self.changed.notified() => {
                    let listed = timeout(self.spec.start_timeout, list(&peer));
                    match listed.await {
                        Ok(Ok(tools)) => self.register(tools),
                        Ok(Err(why)) => break Some(why),
                        Err(_) => break Some("it did not list its tools in time".to_owned()),
                    }
                }
            }
        };
        self.line.set(None);
        cancel.cancel();
        // Its program gets the time that the protocol gives it.
        let _ = ended.await;
        why
    }

    /// Puts a server's tools in the place of those it had. What cannot be used is left out.
    fn register(&self, listed: Vec<Listed>) {
        let server = &self.spec.name;
        let tools = listed.into_iter().take(TOOLS).map(|tool| self.tool(tool));
        let prefix = format!("{server}{SEPARATOR}");
        let (kept, refused) = self.registry.replace(&prefix, tools.collect());
        for error in refused {
            tracing::warn!(server, %error, "a tool of an MCP server cannot be used");
        }
        tracing::info!(server, tools = kept, "an MCP server is there");
    }

    fn tool(&self, listed: Listed) -> (ToolDefinition, Arc<dyn Tool>) {
        let name = format!("{}{SEPARATOR}{}", self.spec.name, listed.name);
        let hints = listed.annotations.as_ref();
        let idempotent = hints.is_some_and(|hints| {
            hints.read_only_hint == Some(true) || hints.idempotent_hint == Some(true)
        });
        let description = listed.description.as_deref().unwrap_or_default();
        let definition = ToolDefinition {
            description: shortened(description, DESCRIPTION_BYTES),
            parameters: Value::Object((*listed.input_schema).clone()),
            idempotent,
            approval: self
                .spec
                .approvals
                .get(&name)
                .cloned()
                .unwrap_or(Approval::Never),
            timeout: self.spec.timeout,
            output_bytes: self.spec.output_bytes,
            name,
        };
        let tool = McpTool {
            line: Arc::clone(&self.line),
            name: listed.name.into_owned(),
            forward_headers: Arc::clone(&self.forward),
            secrets: self.secrets.clone(),
        };
        (definition, Arc::new(tool))
    }
}

/// Lists a server's tools, page by page, as far as they can be of use.
async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Listed>, String> {
    let mut tools = Vec::new();
    let mut page = PaginatedRequestParams::default();
    loop {
        let listed = peer.list_tools(Some(page)).await;
        let listed = listed.map_err(|error| format!("it does not list its tools: {error}"))?;
        tools.extend(listed.tools);
        match listed.next_cursor {
            Some(cursor) if tools.len() < TOOLS => {
                page = PaginatedRequestParams::default().with_cursor(Some(cursor));
            }
            _ => return Ok(tools),
        }
    }
}
