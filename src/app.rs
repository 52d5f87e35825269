//! The composition root: makes everything expensive once, in order, and takes it down again.

mod check;
mod descriptors;
mod error;
mod guard;
mod keys;
mod known;
mod limits;
mod models;
mod reload;
mod store;
mod tools;
mod transport;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Key};
use crate::config::{
    AuthSettings, ConfigError, HttpSettings, LimitSettings, Settings, Sources, StoreSettings, ms,
};
use crate::graphql::{self, Api};
use crate::http::{self, Connections, InFlight, Readiness, Server, ToolReadiness};
use crate::operation::Endpoint;
use talkgraph_bus::Bus;
use talkgraph_domain::{Principal, redact};
use talkgraph_evaluation::Evaluator;
use talkgraph_llm::Models;
use talkgraph_runtime::{Catalog, Rules, Runner, read_agent_files, read_checked};
use talkgraph_store::SharedStore;
use talkgraph_tools::{EgressClient, FileFetch, McpKeepers, ToolRegistry};
use talkgraph_watchdog::{Task, watched};

pub use check::AgentsCheck;
pub use error::StartError;
pub use keys::{KeyFiles, KeysError};
use limits::{api_limits, evaluator, run_limits};
pub use models::ModelError;
pub use reload::AgentFiles;
use tools::operations::Documents;
use transport::transport;

/// How long streams get to be told how they end.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// How long connections get to end once nothing more is sent on them.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every run had come to its own end.
    Drained,
    /// So many runs were left to the next server.
    Left(usize),
}

/// The way in which a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Starts are refused at once, without a delay for load balancers.
    Now,
    /// Readiness is off for `http.shutdown_delay_ms` before starts are refused.
    Announced,
}

/// A server that listens.
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    server: Arc<Server>,
    runner: Arc<Runner>,
    store: SharedStore,
    /// Kept, and ended with the server.
    mcp: McpKeepers,
    connections: Connections,
    shutdown_delay: Duration,
    drain_timeout: Duration,
    /// `provider/model` of agents that name none, in the order in which they are asked.
    default_models: Vec<String>,
    agents_folder: PathBuf,
}

impl App {
    /// Builds everything and binds the address. Nothing is served yet.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        Self::start_around(settings, |store| store).await
    }

    /// As [`App::start`], with something of the caller's around the store.
    pub async fn start_around(
        settings: &Settings,
        around: impl FnOnce(SharedStore) -> SharedStore,
    ) -> Result<Self, StartError> {
        warn_of_ignored(settings);
        let evaluator = evaluator(&settings.evaluation);
        let specs = read_agent_files(&settings.agents.folder, &evaluator).await?;
        let authenticator = authenticator(&settings.auth);
        let sdl = graphql::sdl();
        let guard = Arc::new(guard::guard(&settings.limits, &sdl));
        let persisted = guard::persisted(&settings.documents, &guard)?;
        // Before anything slow: a port in use is the commonest reason not to start.
        let (listener, address) = listen(&settings.http).await?;
        let default_models = models::default_models(&settings.models);
        let models = models::build(&settings.models, &specs, &default_models).await?;
        let store = around(store::open(&settings.store).await?);
        let endpoint = Endpoint::new(Arc::clone(&guard));
        let documents = Documents {
            endpoint: &endpoint,
            trusted: &persisted,
            sdl: &sdl,
        };
        let tools = tools::build(settings, &store, &documents, &evaluator).await?;
        let rules = rules(settings, &models, &tools.registry, evaluator);
        let specs = read_checked(&settings.agents.folder, &rules).await?;
        let agents = store::sync_agents(&store, &settings.store, &specs).await?;
        let default = &settings.agents.default;
        let catalog = Catalog::new(agents, default, &default_models, rules).ok_or_else(|| {
            ConfigError::invalid("agents.default", "names no agent of agents.folder")
        })?;
        let bus = Arc::new(Bus::default());
        let limits = run_limits(&settings.runs, &settings.tools);
        let runner = Runner::new(
            Arc::clone(&store),
            bus,
            models.clone(),
            Arc::clone(&tools.registry),
            catalog,
            limits,
            file_fetch(&settings.limits, tools.files),
        );
        let registry = Arc::clone(&tools.registry);
        let api = Api::new(
            Arc::clone(&store),
            Arc::clone(&runner),
            registry,
            api_limits(settings),
        );
        let schema = graphql::build(api);
        tools::operations::validate(&tools.operations, &schema).await?;
        endpoint.open(schema.clone());
        let server = Arc::new(Server {
            schema,
            sdl,
            guard,
            persisted,
            authenticator,
            store: Arc::clone(&store),
            models,
            tools: ToolReadiness::new(tools.registry, ms(settings.tools.mcp_wait_ms)),
            readiness: Readiness::default(),
            transport: transport(settings)?,
            forward_headers: tools.forward_headers,
            streams: Arc::default(),
            in_flight: Arc::new(InFlight::new(settings.http.in_flight_bytes)),
            ready: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        });
        Ok(Self {
            listener,
            address,
            server,
            runner,
            store,
            mcp: tools.keepers,
            connections: connections(&settings.http),
            shutdown_delay: ms(settings.http.shutdown_delay_ms),
            drain_timeout: ms(settings.http.drain_timeout_ms),
            default_models,
            agents_folder: settings.agents.folder.clone(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `provider/model` of agents that name none; the first, if there are several.
    pub fn default_model(&self) -> &str {
        self.default_models.first().map_or("", String::as_str)
    }

    /// Its agent files, to be read again.
    pub fn agent_files(&self) -> AgentFiles {
        AgentFiles {
            folder: self.agents_folder.clone(),
            runner: Arc::clone(&self.runner),
        }
    }

    /// Its keys, to be replaced while it runs.
    pub fn authenticator(&self) -> Arc<Authenticator> {
        Arc::clone(&self.server.authenticator)
    }

    /// Its key files, to be read again from where these settings came from.
    pub fn key_files(&self, settings: &Settings, sources: Sources) -> KeyFiles {
        KeyFiles::new(sources, settings.auth.clone(), self.authenticator())
    }

    /// Whether callers need a key.
    pub fn needs_key(&self) -> bool {
        self.server.authenticator.needs_key()
    }

    /// Its routes, for those who bring connections of their own, such as a fuzzer. Nothing is
    /// listened for, and no lease is kept.
    pub fn router(&self) -> axum::Router {
        self.server.ready.store(true, Ordering::Release);
        http::router(Arc::clone(&self.server))
    }

    /// Serves until `stop`, then drains: readiness off, after a delay if so asked no new runs,
    /// active runs get their time, the rest is left to the next server, streams end, pools close.
    pub async fn serve(self, stop: impl Future<Output = Stop>) -> Result<Ended, StartError> {
        let leases_stop = CancellationToken::new();
        let sweep = tokio::spawn(Arc::clone(&self.runner.deletion).purge(leases_stop.clone()));
        let (heartbeat, housekeeping) = self.runner.upkeep();
        let heartbeat = tokio::spawn(watched(
            Task::only("the heartbeat"),
            heartbeat.run(leases_stop.clone()),
        ));
        let housekeeping = tokio::spawn(watched(
            Task::only("housekeeping"),
            housekeeping.run(leases_stop.clone()),
        ));
        let most_connections = self.connections.most;
        let closing = CancellationToken::new();
        let router = http::router(Arc::clone(&self.server));
        let serving = http::serve(self.listener, router, self.connections, closing.clone());
        let mut serving = tokio::spawn(serving);
        self.server.ready.store(true, Ordering::Release);
        tracing::info!(
            address = %self.address,
            model = self.default_models.first(),
            needs_key = self.server.authenticator.needs_key(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        // After what a client may wait for: it may have to log something.
        descriptors::raise(most_connections);

        let stop = tokio::select! {
            stop = stop => stop,
            ended = &mut serving => return Err(StartError::Serve(flat(ended))),
        };
        self.server.ready.store(false, Ordering::Release);
        if stop == Stop::Announced && !self.shutdown_delay.is_zero() {
            let delay_ms = u64::try_from(self.shutdown_delay.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(delay_ms, "not ready any more; starts are still taken");
            tokio::select! {
                () = tokio::time::sleep(self.shutdown_delay) => {}
                ended = &mut serving => return Err(StartError::Serve(flat(ended))),
            }
        }
        tracing::info!(runs = self.runner.bus().len(), "stopping");
        let left = self.runner.drain(self.drain_timeout).await;
        // Every stream ends by itself now, with its run's last events or with where to go on. One
        // that nobody reads does not.
        let told = self.server.streams.streams_ended();
        let _ = tokio::time::timeout(LAST_EVENTS, told).await;
        self.server.stopping.cancel();
        closing.cancel();
        let closed = async {
            // How it ended is of no interest any more.
            let _ = (&mut serving).await;
            self.server.streams.sockets_closed().await;
        };
        if tokio::time::timeout(LAST_WORDS, closed).await.is_err() {
            serving.abort();
        }
        leases_stop.cancel();
        if let Err(error) = heartbeat.await {
            tracing::error!(%error, "the heartbeat ended badly");
        }
        if let Err(error) = housekeeping.await {
            tracing::error!(%error, "housekeeping ended badly");
        }
        if let Err(error) = sweep.await {
            tracing::error!(%error, "the removal of deleted sessions ended badly");
        }
        self.mcp.end().await;
        self.store.close().await;
        tracing::info!(left, "stopped");
        Ok(match left {
            0 => Ended::Drained,
            runs => Ended::Left(runs),
        })
    }
}

fn flat(ended: Result<(), tokio::task::JoinError>) -> std::io::Error {
    match ended {
        Ok(()) => std::io::Error::other("it ended by itself"),
        Err(error) => std::io::Error::other(error),
    }
}

fn warn_of_ignored(settings: &Settings) {
    for variable in &settings.ignored_variables {
        let variable = redact::name(variable);
        tracing::warn!(
            variable,
            "a variable is no setting: those have __ between section and key, as in \
             TALKGRAPH_HTTP__PORT"
        );
    }
}

fn connections(settings: &HttpSettings) -> Connections {
    Connections {
        most: settings.connections,
        head_bytes: settings.head_bytes,
        head_timeout: ms(settings.head_timeout_ms),
        // The stream has its own, gentler end before.
        write_timeout: ms(settings.stream_stall_timeout_ms) * 2,
    }
}

async fn listen(settings: &HttpSettings) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::new(settings.address, settings.port);
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn authenticator(settings: &AuthSettings) -> Arc<Authenticator> {
    Arc::new(Authenticator::new(keys_of(settings)))
}

fn keys_of(settings: &AuthSettings) -> impl Iterator<Item = Key> {
    settings.keys.iter().map(|key| Key {
        sha256: key.sha256.clone(),
        principal: Principal::new(&key.tenant, &key.owner, &key.name).with_scopes(&key.scopes),
    })
}

/// The rules for agents, with the available models and tools.
fn rules(
    settings: &Settings,
    models: &Models,
    tools: &Arc<ToolRegistry>,
    evaluator: Evaluator,
) -> Rules {
    let servers = settings.tools.mcp.iter().map(|server| server.name.clone());
    let default_models = models::default_models(&settings.models);
    let tools = Arc::clone(tools);
    Rules::new(
        models.clone(),
        tools,
        servers.collect(),
        &default_models,
        evaluator,
    )
}

/// What is known of each model that the settings or an agent file name, as TOML.
pub async fn known_models(settings: &Settings) -> Result<String, StartError> {
    let evaluator = evaluator(&settings.evaluation);
    let specs = read_agent_files(&settings.agents.folder, &evaluator).await?;
    Ok(known::known(&settings.models, &specs))
}

/// Reads and checks the agent files as the server would at start. Starts the MCP servers of the
/// settings too, unless `offline`, to find the tools that the agents would lack.
pub async fn check_agents(settings: &Settings, offline: bool) -> Result<AgentsCheck, StartError> {
    let evaluator = evaluator(&settings.evaluation);
    let specs = read_agent_files(&settings.agents.folder, &evaluator).await?;
    if offline || settings.tools.mcp.is_empty() {
        return Ok(AgentsCheck::offline(specs));
    }
    let tools = tools::reach(settings, &evaluator).await?;
    let checked = AgentsCheck::new(specs, &tools.registry);
    tools.keepers.end().await;
    Ok(checked)
}

/// Copies the database to a file, also while a server writes to it. Returns the copy's size
/// in bytes.
pub async fn backup(settings: &Settings, to: &Path) -> Result<u64, StartError> {
    store::backup(&settings.store, to).await
}

/// Rewrites a SQLite database as a whole, while no server uses it. Returns its size before and
/// after, in bytes.
pub async fn compact(settings: &Settings) -> Result<(u64, u64), StartError> {
    store::compact(&settings.store).await
}

/// Brings the database up to date, also where a server may not.
pub async fn migrate(settings: &Settings) -> Result<(), StartError> {
    let settings = StoreSettings {
        migrate: true,
        ..settings.store.clone()
    };
    store::open(&settings).await?.close().await;
    Ok(())
}

/// What fetches files that clients send by their URL, if anything does.
fn file_fetch(limits: &LimitSettings, client: EgressClient) -> Option<FileFetch> {
    let timeout = ms(limits.file_url_timeout_ms);
    (!timeout.is_zero()).then(|| FileFetch::new(client, limits.file_bytes, timeout))
}
