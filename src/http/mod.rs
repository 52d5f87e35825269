//! HTTP: the router and the transports of the GraphQL endpoint.

mod accept;
mod admit;
mod body;
mod caller;
mod compress;
mod csrf;
mod error;
mod frames;
mod graphiql;
mod health;
mod host;
mod http1;
mod in_flight;
mod io;
mod multipart;
mod open;
mod parameters;
mod post_get;
mod request_id;
mod respond;
mod serve;
mod sse;
mod stream;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

pub use health::{Readiness, ToolReadiness};
pub use host::Hosts;
pub use in_flight::InFlight;
pub use open::OpenStreams;
pub use serve::{Connections, serve};

use crate::auth::Authenticator;
use crate::graphql::ApiSchema;
use crate::guard::{Guard, Persisted};
use talkgraph_llm::Models;
use talkgraph_store::SharedStore;

/// Bounds of the transports.
#[derive(Debug, Clone)]
pub struct Transport {
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long a query may take.
    pub query_timeout: Duration,
    /// How long a mutation may take.
    pub request_timeout: Duration,
    /// The most errors in one response; further ones are counted.
    pub errors: usize,
    /// The names under which the server may be addressed; absent: any.
    pub hosts: Option<Hosts>,
    /// Origins that may call from a browser.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether strangers may read the schema.
    pub introspection: bool,
    /// Whether GraphiQL is served.
    pub graphiql: bool,
    /// How often a quiet stream carries a keep-alive.
    pub keep_alive: Duration,
    /// The longest time the database may take for a readiness check.
    pub ready_timeout: Duration,
    /// How long the client of an event stream may leave it unread.
    pub stream_stall_timeout: Duration,
    /// How many event streams one caller may have open.
    pub streams: usize,
    /// How many event streams may be open in all.
    pub streams_total: usize,
    /// How long a WebSocket may take to send `connection_init`.
    pub websocket_init_timeout: Duration,
    /// The largest WebSocket message from a client, in bytes.
    pub websocket_message_bytes: usize,
    /// The number of bytes that may wait for the client of one WebSocket.
    pub websocket_queue_bytes: usize,
    /// How many operations one WebSocket may have open.
    pub websocket_operations: usize,
    /// How many WebSockets one caller may have open.
    pub websocket_connections: usize,
    /// How many WebSockets may be open in all.
    pub websocket_connections_total: usize,
    /// How long a WebSocket may leave a ping unanswered or its events unread.
    pub websocket_stall_timeout: Duration,
}

/// What the handlers work with.
pub struct Server {
    /// The GraphQL schema with its resolvers.
    pub schema: ApiSchema,
    /// The schema as text.
    pub sdl: String,
    /// Says which documents are too much.
    pub guard: Arc<Guard>,
    /// The documents that clients can name.
    pub persisted: Persisted,
    /// Tells callers apart.
    pub authenticator: Arc<Authenticator>,
    /// Asked for readiness.
    pub store: SharedStore,
    /// Asked for readiness.
    pub models: Models,
    /// Its MCP servers count for readiness.
    pub tools: ToolReadiness,
    /// The state of the database at the last check.
    pub readiness: Readiness,
    /// What is open.
    pub streams: Arc<OpenStreams>,
    /// Bytes of requests in memory.
    pub in_flight: Arc<InFlight>,
    /// The headers of callers that tools pass on.
    pub forward_headers: Vec<HeaderName>,
    /// Bounds.
    pub transport: Transport,
    /// Off while the server starts and from the moment it is told to stop.
    pub ready: AtomicBool,
    /// Ends the streams when the server stops.
    pub stopping: CancellationToken,
}

/// All routes.
pub fn router(server: Arc<Server>) -> Router {
    let mut router = Router::new()
        .route(
            "/graphql",
            get(post_get::get)
                .post(post_get::post)
                .fallback(post_get::other),
        )
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready));
    if server.transport.introspection {
        router = router.route("/schema.graphql", get(post_get::sdl));
    }
    if server.transport.graphiql {
        router = router.merge(graphiql::routes());
    }
    let router = router.fallback(error::no_such_path);
    let ids = axum::middleware::from_fn(request_id::assign);
    let origins = &server.transport.cors_origins;
    let hosts = server.transport.hosts.clone();
    let hosts = hosts.map(|hosts| from_fn_with_state(hosts, host::check));
    // One layer of them all, the outermost first: the router boxes what each layer makes of
    // a route, and a request's future once more.
    let router = match (origins.is_empty(), hosts) {
        (true, None) => router.layer((ids, compress::layer())),
        (true, Some(hosts)) => router.layer((ids, hosts, compress::layer())),
        (false, None) => router.layer((ids, cors(origins), compress::layer())),
        (false, Some(hosts)) => router.layer((ids, hosts, cors(origins), compress::layer())),
    };
    router.with_state(server)
}

/// Browsers of these origins may call; of no other.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(
            [
                header::ACCEPT,
                header::CONTENT_TYPE,
                HeaderName::from_static("last-event-id"),
            ]
            .into_iter()
            .chain(csrf::PREFLIGHTED)
            .collect::<Vec<_>>(),
        )
        .expose_headers([HeaderName::from_static(request_id::HEADER)])
        .max_age(Duration::from_secs(3600))
}
