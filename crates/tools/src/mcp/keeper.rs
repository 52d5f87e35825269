//! Keepers: tasks that keep MCP servers connected.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::call::{Line, Link};
use super::connect::{Reached, connect};
use super::forward::ForwardingClient;
use super::guard::Guard;
use super::list::{Pace, list};
use super::names::{self, SEPARATOR};
use super::{McpServerSpec, McpTransport};
use crate::hidden_characters::escape_hidden;
use crate::output::shortened;
use crate::{ToolRegistry, is_valid_name};
use talkgraph_domain::redact::Known;

/// The longest name of a server: the names of its tools need the rest.
const SERVER_NAME_CHARS: usize = 24;

/// The first delay before a reconnect; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// The connection time after which the first delay applies again.
const STABLE: Duration = Duration::from_secs(60);

/// The longest reason of a lost connection that is logged, in bytes: it may contain the server's
/// words.
pub(super) const REASON_BYTES: usize = 500;

/// The time that the programs have to end when this server stops.
const ENDING: Duration = Duration::from_secs(10);

/// The error of a name that a server cannot have.
#[derive(Debug, Error)]
#[error("{0:?} must be 1 to {SERVER_NAME_CHARS} of letters, digits, _ and -, without __")]
pub struct ServerNameError(String);

/// The tasks that keep MCP servers connected. They end when this is dropped.
pub struct McpKeepers {
    tasks: TaskTracker,
    stop: CancellationToken,
    guard: Arc<Guard>,
    _stop_when_dropped: DropGuard,
}

impl McpKeepers {
    /// Creates an empty set of keepers; `guard` ends the programs if this server cannot.
    pub fn new(guard: Guard) -> Self {
        let stop = CancellationToken::new();
        Self {
            tasks: TaskTracker::new(),
            guard: Arc::new(guard),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Checks the name of a server.
    ///
    /// # Errors With the allowed names.
    pub fn check_name(name: &str) -> Result<(), ServerNameError> {
        let fits = name.len() <= SERVER_NAME_CHARS && !name.contains(SEPARATOR);
        match fits && is_valid_name(name) {
            true => Ok(()),
            false => Err(ServerNameError(name.to_owned())),
        }
    }

    /// The prefix of a server's tool names, which no other server may have.
    pub fn prefix(server: &str) -> Cow<'_, str> {
        names::prefix(server)
    }

    /// Returns true if a tool's name has the form of a server's tools.
    pub fn may_have(server: &str, tool: &str) -> bool {
        names::may_have(server, tool)
    }

    /// The server among these to which a tool's name belongs. Where several fit, as `a` and `a_` do
    /// for `a___b`, it is the one with the longest name.
    pub fn server_of<'a>(tool: &str, servers: &[&'a str]) -> Option<&'a str> {
        names::server_of(tool, servers)
    }

    /// Starts a keeper for a server, without waiting for it: its tools are in the registry as soon
    /// as it has listed them.
    ///
    /// # Errors When no HTTP client can be created.
    pub fn keep(
        &self,
        spec: McpServerSpec,
        registry: &Arc<ToolRegistry>,
    ) -> Result<(), reqwest::Error> {
        let changed = Arc::<Notify>::default();
        let (http, forward) = match &spec.transport {
            McpTransport::Http {
                forward_headers, ..
            } => (
                Some(ForwardingClient::new(
                    spec.start_timeout,
                    &spec.proxies,
                    Arc::clone(&changed),
                )?),
                forward_headers.as_slice().into(),
            ),
            McpTransport::Stdio { .. } => (None, Arc::default()),
        };
        registry.servers().expect(&spec.name, spec.required);
        let keeper = Keeper {
            secrets: spec.transport.secrets(),
            spec,
            http,
            forward,
            registry: Arc::clone(registry),
            line: Arc::default(),
            changed,
            guard: Arc::clone(&self.guard),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { keeper.keep(stop).await });
        Ok(())
    }

    /// Ends all keepers, and waits until their programs have ended.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(ENDING, self.tasks.wait()).await.is_err() {
            tracing::warn!("MCP servers did not end in time");
        }
    }
}

/// The names of the tools that a server listed last, as the server calls them.
pub(super) type Names = Option<BTreeSet<String>>;

pub(super) struct Keeper {
    pub(super) spec: McpServerSpec,
    pub(super) secrets: Known,
    http: Option<ForwardingClient>,
    pub(super) forward: Arc<[HeaderName]>,
    pub(super) registry: Arc<ToolRegistry>,
    pub(super) line: Arc<Line>,
    changed: Arc<Notify>,
    guard: Arc<Guard>,
}

impl Keeper {
    async fn keep(self, stop: CancellationToken) {
        let mut known = None;
        let mut delay = FIRST_DELAY;
        loop {
            let began = Instant::now();
            let reached = tokio::select! {
                reached = self.reach(&mut known) => reached,
                () = stop.cancelled() => return,
            };
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
            let why = shortened(&escape_hidden(&self.secrets.hide(&why)), REASON_BYTES);
            self.registry.servers().lost(&self.spec.name, &why);
            tracing::warn!(server, why, again_in = ?delay, "MCP server unavailable");
            tokio::select! {
                () = sleep(delay) => {}
                () = stop.cancelled() => return,
            }
            delay = (delay * 2).min(self.spec.restart_delay);
        }
    }

    /// Connects and lists the tools; returns the connection, and the signal that it is dead.
    async fn reach(&self, known: &mut Names) -> Result<(Reached, Arc<Notify>), String> {
        let reached = timeout(self.spec.start_timeout, async {
            let reached = connect(&self.spec, self.http.as_ref(), &self.changed, &self.guard);
            let reached = reached.await?;
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
        self.registry.servers().found(&self.spec.name);
        Ok((reached, broken))
    }

    /// Keeps a connection until it ends. Returns the reason, or none when this server stops.
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
                // A change during a listing leads to one more listing.
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
        // Its program has the time to end that the protocol gives it.
        let _ = ended.await;
        why
    }
}
