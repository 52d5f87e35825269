//! The composition root: creates everything expensive once, in order.

mod check;
mod commands;
mod descriptors;
mod error;
mod guard;
mod keys;
mod known;
mod limits;
mod models;
mod reload;
mod serve;
mod store;
mod tools;
mod transport;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Key};
use crate::config::{
    AuthSettings, ConfigError, HttpSettings, LimitSettings, Settings, Sources, ms,
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

pub use check::AgentsCheck;
pub use commands::{backup, check_agents, compact, known_models, migrate};
pub use error::StartError;
pub use keys::{KeyFiles, KeysError};
use limits::{api_limits, evaluator, run_limits};
pub use models::ModelError;
pub use reload::AgentFiles;
use tools::operations::Documents;
use transport::transport;

/// The end of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every run had finished.
    Drained,
    /// Number of runs that were left to the next server.
    Left(usize),
}

/// The way in which a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// New runs are refused at once, without a delay for load balancers.
    Now,
    /// Readiness is off for `http.shutdown_delay_ms` before new runs are refused.
    Announced,
}

/// A listening server.
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
    /// `provider/model` of agents that name none, in the order in which they are called.
    default_models: Vec<String>,
    agents_folder: PathBuf,
}

impl App {
    /// Builds everything and binds the address. Nothing is served yet.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        Self::start_around(settings, |store| store).await
    }

    /// [`App::start`] with a wrapper of the caller around the store.
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

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `provider/model` of agents that name none; the first, if there are several.
    pub fn default_model(&self) -> &str {
        self.default_models.first().map_or("", String::as_str)
    }

    /// The agent files, to be reloaded.
    pub fn agent_files(&self) -> AgentFiles {
        AgentFiles {
            folder: self.agents_folder.clone(),
            runner: Arc::clone(&self.runner),
        }
    }

    /// The API keys, to be replaced while it runs.
    pub fn authenticator(&self) -> Arc<Authenticator> {
        Arc::clone(&self.server.authenticator)
    }

    /// The key files, to be reloaded from the sources of these settings.
    pub fn key_files(&self, settings: &Settings, sources: Sources) -> KeyFiles {
        KeyFiles::new(sources, settings.auth.clone(), self.authenticator())
    }

    /// True if callers need a key.
    pub fn needs_key(&self) -> bool {
        self.server.authenticator.needs_key()
    }

    /// The routes, for a caller with connections of its own, such as a fuzzer. The listener is not
    /// served, and no lease is renewed.
    pub fn router(&self) -> axum::Router {
        self.server.ready.store(true, Ordering::Release);
        http::router(Arc::clone(&self.server))
    }
}

fn warn_of_ignored(settings: &Settings) {
    for variable in &settings.ignored_variables {
        let variable = redact::name(variable);
        tracing::warn!(
            variable,
            "environment variable ignored: settings have __ between section and key, as in \
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

/// The client for files that are sent by their URL; none where they are refused.
fn file_fetch(limits: &LimitSettings, client: EgressClient) -> Option<FileFetch> {
    let timeout = ms(limits.file_url_timeout_ms);
    (!timeout.is_zero()).then(|| FileFetch::new(client, limits.file_bytes, timeout))
}
