//! Keeping servers at hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use rmcp::model::Tool as Listed;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::call::{Line, Link, McpTool};
use super::connect::{Reached, connect};
use super::forward::ForwardingClient;
use super::list::{Pace, list};
use super::{McpServerSpec, McpTransport};
use crate::domain::redact::Known;
use crate::tool::output::shortened;
use crate::tool::visible::{show_schema, visible};
use crate::tool::{Approval, Tool, ToolDefinition, ToolRegistry, is_valid_name};

/// Between the server's name and its tool's.
const SEPARATOR: &str = "__";

/// The longest name of a server: its tools' names need the rest.
const SERVER_NAME_CHARS: usize = 24;

/// The longest description of a tool that models are shown, in bytes.
const DESCRIPTION_BYTES: usize = 4_096;

/// The first wait before a server is reached again; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// A server that has been there for so long is given the first wait again.
const STABLE: Duration = Duration::from_secs(60);

/// The longest account of an end that is logged, in bytes: it may have the server's words.
const REASON_BYTES: usize = 500;

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

    /// Returns true when a tool's name has the form of a server's tools.
    pub fn may_have(server: &str, tool: &str) -> bool {
        let rest = tool.strip_prefix(server);
        let own = rest.and_then(|rest| rest.strip_prefix(SEPARATOR));
        own.is_some_and(|own| !own.is_empty())
    }

    /// The server, of these, that a tool's name is of. Where it has the form of several, as
    /// `a___b` has of `a` and `a_`, it is the one with the longest name.
    pub fn server_of<'a>(tool: &str, servers: &[&'a str]) -> Option<&'a str> {
        let of = servers.iter().filter(|server| Self::may_have(server, tool));
        of.copied().max_by_key(|server| server.len())
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
                Some(ForwardingClient::new(spec.start_timeout, &spec.proxies)?),
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

/// The names of the tools that a server listed last, as it calls them.
type Names = Option<BTreeSet<String>>;

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
        let mut known = None;
        let mut delay = FIRST_DELAY;
        loop {
            let began = Instant::now();
            let reached = tokio::select! {
                reached = self.reach(&mut known) => reached,
                () = stop.cancelled() => return,
            };
            if let Some(first) = first.take() {
                // Nobody waits when the start itself was given up.
                let _ = first.send(());
            }
            let why = match reached {
                Ok((connection, broken)) => {
                    match self.stay(connection, &mut known, &broken, &stop).await {
                        Some(why) => why,
                        None => return,
                    }
                }
                Err(why) => why,
            };
            if began.elapsed() > STABLE {
                delay = FIRST_DELAY;
            }
            let server = &*self.spec.name;
            let why = shortened(&visible(&self.secrets.hide(&why)), REASON_BYTES);
            tracing::warn!(server, why, again_in = ?delay, "an MCP server is not there");
            tokio::select! {
                () = sleep(delay) => {}
                () = stop.cancelled() => return,
            }
            delay = (delay * 2).min(self.spec.restart_delay);
        }
    }

    /// Connects and lists the tools; gives the connection, and what tells that it is dead.
    async fn reach(&self, known: &mut Names) -> Result<(Reached, Arc<Notify>), String> {
        let reached = timeout(self.spec.start_timeout, async {
            let reached = connect(&self.spec, self.http.as_ref(), &self.changed).await?;
            let tools = list(reached.connection.peer(), &self.spec).await;
            Ok::<_, String>((tools.map_err(|why| reached.why(why))?, reached))
        });
        let (tools, reached) = match reached.await {
            Ok(reached) => reached?,
            Err(_) => return Err("it did not answer in time".to_owned()),
        };
        let broken = Arc::<Notify>::default();
        self.line.set(Some(Link {
            peer: reached.connection.peer().clone(),
            broken: Arc::clone(&broken),
        }));
        self.register(tools, known).await;
        Ok((reached, broken))
    }

    /// Stays with a server while it is there; says why it is not any more, or nothing when
    /// this server stops.
    async fn stay(
        &self,
        reached: Reached,
        known: &mut Names,
        broken: &Notify,
        stop: &CancellationToken,
    ) -> Option<String> {
        let peer = reached.connection.peer().clone();
        let cancel = reached.connection.cancellation_token();
        let too_long = reached.too_long;
        let mut ended = std::pin::pin!(reached.connection.waiting());
        let mut pace = Pace::new(&self.spec);
        let why = loop {
            tokio::select! {
                _ = &mut ended => {
                    self.line.set(None);
                    return Some(too_long.why("it has ended".to_owned()));
                }
                () = stop.cancelled() => break None,
                () = broken.notified() => {
                    break Some(too_long.why("a call did not get through".to_owned()));
                }
                // What changes meanwhile is seen by one more listing.
                () = async {
                    self.changed.notified().await;
                    pace.wait().await;
                } => {
                    let listed = timeout(self.spec.start_timeout, list(&peer, &self.spec));
                    match listed.await {
                        Ok(Ok(tools)) => self.register(tools, known).await,
                        Ok(Err(why)) => break Some(too_long.why(why)),
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

    /// Replaces a server's tools. Unusable tools are left out. The
    /// log has each list of tools once.
    async fn register(&self, listed: Vec<Listed>, known: &mut Names) {
        let server = &*self.spec.name;
        let names: BTreeSet<_> = listed.iter().map(|tool| tool.name.to_string()).collect();
        let is_new = known.as_ref() != Some(&names);
        let listed = listed.into_iter();
        let (tools, mut refused): (Vec<_>, Vec<_>) =
            listed.map(|tool| self.tool(tool)).partition(Result::is_ok);
        let mut why = refused.pop().and_then(Result::err);
        let tools = tools.into_iter().filter_map(Result::ok).collect();
        let replaced = self.registry.replace(&self.spec.name, tools);
        let Ok((kept, others)) = timeout(self.spec.start_timeout, replaced).await else {
            tracing::warn!(
                server,
                "the schemas of an MCP server's tools take too long to check"
            );
            return;
        };
        why = why.or_else(|| others.first().map(ToString::to_string));
        if let Some(why) = why.filter(|_| is_new) {
            let left_out = names.len().saturating_sub(kept);
            let why = shortened(&visible(&why), REASON_BYTES);
            tracing::warn!(
                server,
                left_out,
                why,
                "tools of an MCP server cannot be used"
            );
        }
        if is_new {
            tracing::info!(server, tools = kept, "an MCP server is there");
        } else {
            tracing::debug!(
                server,
                tools = kept,
                "an MCP server has listed its tools again"
            );
        }
        *known = Some(names);
    }

    /// A tool under its full name, or why it cannot be used.
    fn tool(&self, listed: Listed) -> Result<(ToolDefinition, Arc<dyn Tool>), String> {
        let server = &*self.spec.name;
        let name = format!("{server}{SEPARATOR}{}", listed.name);
        let others: Vec<_> = self.spec.others.iter().map(String::as_str).collect();
        // Its own name is empty, or the whole name is of another server's form.
        if McpKeepers::server_of(&name, &others) != Some(server) {
            return Err(format!("{name:?} is no name of a tool of this server"));
        }
        let mut parameters = Value::Object((*listed.input_schema).clone());
        if !show_schema(&mut parameters) {
            return Err(format!("the parameters of {name:?} have hidden characters"));
        }
        let hints = listed.annotations.as_ref();
        let idempotent = hints.is_some_and(|hints| {
            hints.read_only_hint == Some(true) || hints.idempotent_hint == Some(true)
        });
        let description = listed.description.as_deref().unwrap_or_default();
        let definition = ToolDefinition {
            description: visible(&shortened(description, DESCRIPTION_BYTES)).into_owned(),
            parameters,
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
        Ok((definition, Arc::new(tool)))
    }
}
