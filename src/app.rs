//! The composition root: makes everything expensive once, in order, and takes it down again.

mod guard;
mod models;
mod reload;
mod store;
mod tools;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::agent::{
    AgentFileError, Catalog, Rules, RunLimits, Runner, read_agent_files, read_checked,
};
use crate::auth::{Authenticator, Key};
use crate::bus::Bus;
use crate::config::{
    AuthSettings, ConfigError, HttpSettings, LimitSettings, RunSettings, Settings, ms,
};
use crate::domain::{AgentSpec, Principal};
use crate::graphql::{self, Api, ApiLimits};
use crate::guard::{ManifestError, Trust};
use crate::http::{self, Connections, Server, Transport};
use crate::operation::Endpoint;
use crate::store::sqlite::BackupError;
use crate::store::{SharedStore, StoreError};
use crate::tool::{EgressClient, FileFetch, McpKeepers};

pub use models::ModelError;
pub use reload::AgentFiles;
use tools::operations::Documents;

/// How long streams get to be told how they end.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// How long connections get to end once nothing more is sent on them.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why the server does not start, or a command is not carried out: one line that says what
/// to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An agent file.
    #[error(transparent)]
    Agents(#[from] AgentFileError),
    /// The trusted documents.
    #[error("documents.manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// A model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The database.
    #[error("database {url}: {error}")]
    Store {
        /// Where it is, without its password.
        url: String,
        /// What is wrong.
        error: StoreError,
    },
    /// A backup.
    #[error("backup: {0}")]
    Backup(#[from] BackupError),
    /// A backup of what has better means of its own.
    #[error("backup: {0} is PostgreSQL: use pg_dump")]
    BackupOfPostgres(String),
    /// The address.
    #[error("cannot listen on {address}: {error} (setting http.port)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The listener failed while serving.
    #[error("the listener failed: {0}")]
    Serve(std::io::Error),
}

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every run had come to its own end.
    Drained,
    /// So many runs were left to the next server.
    Left(usize),
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
        let specs = read_agent_files(&settings.agents.folder)?;
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
        let tools = tools::build(&settings.tools, &store, &documents).await?;
        let servers = settings.tools.mcp.iter().map(|server| server.name.clone());
        let registry = Arc::clone(&tools.registry);
        let rules = Rules::new(models.clone(), registry, servers.collect(), &default_models);
        let specs = read_checked(&settings.agents.folder, &rules)?;
        let agents = store::sync_agents(&store, &settings.store, &specs).await?;
        let default = &settings.agents.default;
        let catalog = Catalog::new(agents, default, &default_models, rules).ok_or_else(|| {
            ConfigError::invalid("agents.default", "names no agent of agents.folder")
        })?;
        let bus = Arc::new(Bus::default());
        let limits = run_limits(&settings.runs, settings.tools.output_bytes);
        let runner = Runner::new(
            Arc::clone(&store),
            bus,
            models.clone(),
            Arc::clone(&tools.registry),
            catalog,
            limits,
            file_fetch(&settings.limits, tools.files),
        );
        let api_limits = api_limits(settings);
        let registry = Arc::clone(&tools.registry);
        let api = Api::new(
            Arc::clone(&store),
            Arc::clone(&runner),
            registry,
            api_limits,
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
            transport: transport(settings)?,
            forward_headers: tools.forward_headers,
            streams: Arc::default(),
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
            connections: Connections {
                most: settings.http.connections,
                head_timeout: ms(settings.http.head_timeout_ms),
                // The stream has its own, gentler end before.
                write_timeout: ms(settings.http.stream_stall_timeout_ms) * 2,
            },
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

    /// Serves until `stop`, then drains: readiness off, no new runs, active runs get their
    /// time, the rest is left to the next server, streams end, pools close.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Ended, StartError> {
        let leases_stop = CancellationToken::new();
        let leases = tokio::spawn(Arc::clone(&self.runner).keep_leases(leases_stop.clone()));
        let closing = CancellationToken::new();
        let router = http::router(Arc::clone(&self.server));
        let serving = http::serve(self.listener, router, self.connections, closing.clone());
        let mut serving = tokio::spawn(serving);
        self.server.ready.store(true, Ordering::Release);
        tracing::info!(address = %self.address, "serving");

        tokio::select! {
            () = stop => {}
            ended = &mut serving => return Err(StartError::Serve(flat(ended))),
        }
        self.server.ready.store(false, Ordering::Release);
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
        if let Err(error) = leases.await {
            tracing::error!(%error, "the lease keeper ended badly");
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

async fn listen(settings: &HttpSettings) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::new(settings.address, settings.port);
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn authenticator(settings: &AuthSettings) -> Authenticator {
    Authenticator::new(settings.keys.iter().map(|key| Key {
        sha256: key.sha256.clone(),
        principal: Principal::new(&key.tenant, &key.owner, &key.name).with_scopes(&key.scopes),
    }))
}

/// Reads and checks the agent files as the server would at start.
pub fn check_agents(settings: &Settings) -> Result<Vec<AgentSpec>, StartError> {
    Ok(read_agent_files(&settings.agents.folder)?)
}

/// Copies the database to a file, also while a server writes to it. Returns the copy's size
/// in bytes.
pub async fn backup(settings: &Settings, to: &Path) -> Result<u64, StartError> {
    store::backup(&settings.store, to).await
}

/// Brings the database up to date.
pub async fn migrate(settings: &Settings) -> Result<(), StartError> {
    store::open(&settings.store).await?.close().await;
    Ok(())
}

fn run_limits(settings: &RunSettings, output_bytes: usize) -> RunLimits {
    RunLimits {
        active: settings.active,
        queued: settings.queued,
        timeout: Duration::from_secs(settings.timeout_s),
        history_messages: settings.history_messages,
        answer_bytes: settings.answer_bytes,
        tail_events: settings.tail_events,
        lease: Duration::from_secs(settings.lease_s),
        idempotency_ttl: Duration::from_secs(settings.idempotency_ttl_s),
        step_timeout: Duration::from_secs(settings.step_timeout_s),
        max_steps: settings.max_steps,
        parallel_tools: settings.parallel_tools,
        tool_mistakes: settings.tool_mistakes,
        max_handoffs: settings.max_handoffs,
        max_depth: settings.max_depth,
        output_repairs: settings.output_repairs,
        max_output_tokens: settings.max_output_tokens,
        store_outage: Duration::from_secs(settings.store_outage_s),
        on_restart: settings.on_restart,
        restarts: settings.restarts,
        session_queue: settings.session_queue,
        log_retention: Some(settings.log_retention_s)
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        interrupt_expiry: Duration::from_secs(settings.interrupt_expiry_s),
        interrupts: settings.interrupts,
        client_output_bytes: output_bytes,
        behind_events: settings.subscriber_behind_events,
        lag_events: settings.subscriber_lag_events,
    }
}

/// What fetches files that clients send by their URL, if anything does.
fn file_fetch(limits: &LimitSettings, client: EgressClient) -> Option<FileFetch> {
    let timeout = ms(limits.file_url_timeout_ms);
    (!timeout.is_zero()).then(|| FileFetch::new(client, limits.file_bytes, timeout))
}

fn api_limits(settings: &Settings) -> ApiLimits {
    let (limits, http) = (&settings.limits, &settings.http);
    ApiLimits {
        message_bytes: limits.message_bytes,
        files: limits.files,
        file_bytes: limits.file_bytes,
        title_chars: limits.title_chars,
        metadata_bytes: limits.metadata_bytes,
        variables_bytes: limits.variables_bytes,
        variables_depth: limits.variables_depth,
        agents: settings.agents.per_tenant,
        agent_versions: settings.agents.versions,
        page_size: limits.page_size,
        page_size_default: limits.page_size_default,
        query_nesting: limits.query_nesting,
        // A little before the request itself times out, to be able to name the run.
        chat_timeout: ms(http.request_timeout_ms).mul_f32(0.9),
        introspection: http.introspection,
    }
}

fn transport(all: &Settings) -> Result<Transport, ConfigError> {
    let settings = &all.http;
    let only_trusted = all.documents.trusted_documents == Trust::Only;
    let origins = settings.cors_origins.iter().map(|origin| {
        let value = HeaderValue::from_str(origin)
            .ok()
            .filter(|_| is_origin(origin));
        value.ok_or_else(|| {
            let why = format!("{origin:?} must be an origin such as https://app.example.com");
            ConfigError::invalid("http.cors_origins", why)
        })
    });
    Ok(Transport {
        body_limit: settings.body_limit_bytes,
        body_timeout: ms(settings.body_timeout_ms),
        query_timeout: ms(settings.query_timeout_ms),
        request_timeout: ms(settings.request_timeout_ms),
        errors: all.limits.errors,
        cors_origins: origins.collect::<Result<_, _>>()?,
        introspection: settings.introspection && !only_trusted,
        graphiql: settings.graphiql && settings.introspection && !only_trusted,
        keep_alive: ms(settings.keep_alive_ms),
        stream_stall_timeout: ms(settings.stream_stall_timeout_ms),
        streams: settings.streams,
        websocket_init_timeout: ms(settings.websocket_init_timeout_ms),
        websocket_message_bytes: settings.websocket_message_bytes,
        websocket_operations: settings.websocket_operations,
        websocket_connections: settings.websocket_connections,
        websocket_connections_total: settings.websocket_connections_total,
        websocket_stall_timeout: ms(settings.websocket_stall_timeout_ms),
    })
}

/// Scheme and authority, nothing after it (RFC 6454, section 6.1).
fn is_origin(origin: &str) -> bool {
    let rest = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    rest.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
}
