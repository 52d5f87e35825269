//! The state of MCP servers: which are connected, and which of their tools cannot be offered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::McpKeepers;

/// A tool that cannot be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnavailableTool {
    /// Its name; `server__*` for all tools of a missing server.
    pub name: String,
    /// The reason, for people.
    pub reason: String,
}

/// The state of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// It is being connected for the first time.
    Starting,
    /// It is connected.
    There,
    /// It cannot be reached. The reason is for operators.
    Missing(String),
}

#[derive(Debug, Clone)]
struct Server {
    required: bool,
    state: ServerState,
    unavailable: Vec<UnavailableTool>,
}

/// The MCP servers, by name.
#[derive(Debug)]
pub struct Servers(watch::Sender<BTreeMap<Arc<str>, Server>>);

impl Default for Servers {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl Servers {
    /// Adds a server that is being connected.
    pub(super) fn expect(&self, name: &Arc<str>, required: bool) {
        let server = Server {
            required,
            state: ServerState::Starting,
            unavailable: Vec::new(),
        };
        self.0
            .send_modify(|servers| drop(servers.insert(Arc::clone(name), server)));
    }

    /// Records that a server is connected and has listed its tools.
    pub(super) fn found(&self, name: &str) {
        self.change(name, |server| server.state = ServerState::There);
    }

    /// Records that a server cannot be reached.
    pub(super) fn lost(&self, name: &str, why: &str) {
        self.change(name, |server| {
            server.state = ServerState::Missing(why.to_owned());
        });
    }

    /// Records the tools of a server that cannot be offered.
    pub(super) fn refused(&self, name: &str, tools: Vec<UnavailableTool>) {
        self.change(name, |server| server.unavailable = tools);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Server)) {
        self.0.send_modify(|servers| {
            if let Some(server) = servers.get_mut(name) {
                change(server);
            }
        });
    }

    /// The names and states of the servers that are not connected.
    pub fn missing(&self) -> Vec<(Arc<str>, ServerState)> {
        let servers = self.0.borrow();
        let missing = servers.iter().filter(|(_, server)| !server.is_there());
        missing
            .map(|(name, server)| (Arc::clone(name), server.state.clone()))
            .collect()
    }

    /// Returns true when a required server is not connected.
    pub fn lack_required(&self) -> bool {
        let servers = self.0.borrow();
        servers
            .values()
            .any(|server| server.required && !server.is_there())
    }

    /// The tools that cannot be offered, those of missing servers as `server__*`.
    pub fn unavailable(&self) -> Vec<UnavailableTool> {
        let servers = self.0.borrow();
        let of = |(name, server): (&Arc<str>, &Server)| {
            let missing = server.reason().map(|reason| UnavailableTool {
                name: format!("{}__*", McpKeepers::prefix(name)),
                reason: reason.to_owned(),
            });
            missing.into_iter().chain(server.unavailable.clone())
        };
        servers.iter().flat_map(of).collect()
    }

    /// Returns true when a tool's name belongs to one of the servers.
    pub fn has_server_of(&self, tool: &str) -> bool {
        let servers = self.0.borrow();
        let names: Vec<&str> = servers.keys().map(|name| &**name).collect();
        McpKeepers::server_of(tool, &names).is_some()
    }

    /// The reason why there is no tool of that name.
    pub fn why_unavailable(&self, tool: &str) -> String {
        let servers = self.0.borrow();
        let all = servers.values().flat_map(|server| &server.unavailable);
        if let Some(known) = all.into_iter().find(|known| known.name == tool) {
            return known.reason.clone();
        }
        let names: Vec<&str> = servers.keys().map(|name| &**name).collect();
        let server = McpKeepers::server_of(tool, &names).and_then(|name| servers.get(name));
        let reason = match server {
            Some(server) => server.reason().unwrap_or("its MCP server has no such tool"),
            None => "there is no such tool",
        };
        reason.to_owned()
    }

    /// Waits until none of the servers of these tools is being connected for the first time, for at
    /// most `most`.
    pub async fn settled(&self, tools: &[&str], most: Duration) {
        let mut changes = self.0.subscribe();
        let settled = changes.wait_for(|servers| {
            let names: Vec<&str> = servers.keys().map(|name| &**name).collect();
            !tools.iter().any(|tool| {
                let server = McpKeepers::server_of(tool, &names);
                let server = server.and_then(|name| servers.get(name));
                server.is_some_and(|server| server.state == ServerState::Starting)
            })
        });
        // The registry keeps the sender, so the only other outcome is a time-out.
        let _ = timeout(most, settled).await;
    }

    /// Waits until no server is being connected for the first time, for at most `most`.
    pub async fn all_settled(&self, most: Duration) {
        let mut changes = self.0.subscribe();
        let settled = changes.wait_for(|servers| {
            let mut states = servers.values().map(|server| &server.state);
            !states.any(|state| *state == ServerState::Starting)
        });
        let _ = timeout(most, settled).await;
    }
}

impl Server {
    fn is_there(&self) -> bool {
        self.state == ServerState::There
    }

    /// The reason why its tools are not available, for any caller.
    fn reason(&self) -> Option<&'static str> {
        match self.state {
            ServerState::Starting => Some("its MCP server is starting"),
            ServerState::Missing(_) => Some("its MCP server is not there"),
            ServerState::There => None,
        }
    }
}
