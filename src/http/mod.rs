//! HTTP: the router and the transports of the GraphQL endpoint.

mod admit;
mod body;
mod caller;
mod compress;
mod content_negotiation;
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
mod parameters;
mod post_get;
mod request_id;
mod respond;
mod serve;
mod sse;
mod stream;
mod stream_limits;
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
pub use serve::{Connections, serve};
pub use stream_limits::OpenStreams;

use crate::auth::Authenticator;
use crate::graphql::ApiSchema;
use crate::guard::{Guard, Persisted};
use talkgraph_llm::Models;
use talkgraph_store::SharedStore;

/// The limits of the transports.
#[derive(Debug, Clone)]
pub struct Transport {
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// The maximum time for a request body to arrive.
    pub body_timeout: Duration,
    /// The maximum duration of a query.
    pub query_timeout: Duration,
    /// The maximum duration of a mutation.
    pub request_timeout: Duration,
    /// The maximum number of errors in one response; further ones are counted.
    pub errors: usize,
    /// The names under which the server may be addressed; any if absent.
    pub hosts: Option<Hosts>,
    /// The origins whose pages may call the server from a browser.
    pub cors_origins: Vec<HeaderValue>,
    /// True if clients may read the schema.
    pub introspection: bool,
    /// True if GraphiQL is served.
    pub graphiql: bool,
    /// The interval of keep-alives on an idle stream.
    pub keep_alive: Duration,
    /// The longest time the database may take for a readiness check.
    pub ready_timeout: Duration,
    /// The time for which the client of an event stream may leave it unread.
    pub stream_stall_timeout: Duration,
    /// The maximum number of open event streams of one caller.
    pub streams: usize,
    /// The maximum number of open event streams of all callers.
    pub streams_total: usize,
    /// The maximum time for a WebSocket to send `connection_init`.
    pub websocket_init_timeout: Duration,
    /// The largest WebSocket message from a client, in bytes.
    pub websocket_message_bytes: usize,
    /// The maximum number of bytes queued for the client of one WebSocket.
    pub websocket_queue_bytes: usize,
    /// The maximum number of concurrent operations of one WebSocket.
    pub websocket_operations: usize,
    /// The maximum number of open WebSockets of one caller.
    pub websocket_connections: usize,
    /// The maximum number of open WebSockets of all callers.
    pub websocket_connections_total: usize,
    /// The time for which a WebSocket may leave a ping unanswered or its events unread.
    pub websocket_stall_timeout: Duration,
}

/// The services of the request handlers.
pub struct Server {
    /// The GraphQL schema with its resolvers.
    pub schema: ApiSchema,
    /// The schema as text.
    pub sdl: String,
    /// The guard that rejects expensive documents.
    pub guard: Arc<Guard>,
    /// The documents that clients can refer to.
    pub persisted: Persisted,
    /// The authentication of callers.
    pub authenticator: Arc<Authenticator>,
    /// The database, checked for readiness.
    pub store: SharedStore,
    /// The models, checked for readiness.
    pub models: Models,
    /// The MCP servers, checked for readiness.
    pub tools: ToolReadiness,
    /// The state of the database at the last check.
    pub readiness: Readiness,
    /// The counts of open streams and sockets.
    pub streams: Arc<OpenStreams>,
    /// The count of request bytes in memory.
    pub in_flight: Arc<InFlight>,
    /// The names of callers' headers that tools forward.
    pub forward_headers: Vec<HeaderName>,
    /// The limits of the transports.
    pub transport: Transport,
    /// False while the server starts and after it was asked to stop.
    pub ready: AtomicBool,
    /// Ends the streams when the server stops.
    pub stopping: CancellationToken,
}

/// Creates the router of all routes.
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
    // One layer of all of them, the outermost first: the router boxes the result of each layer
    // for each route, and a request's future again.
    let router = match (origins.is_empty(), hosts) {
        (true, None) => router.layer((ids, compress::layer())),
        (true, Some(hosts)) => router.layer((ids, hosts, compress::layer())),
        (false, None) => router.layer((ids, cors(origins), compress::layer())),
        (false, Some(hosts)) => router.layer((ids, hosts, cors(origins), compress::layer())),
    };
    router.with_state(server)
}

/// Allows browser requests from these origins only.
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
