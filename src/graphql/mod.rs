//! The GraphQL face: types, queries, mutations, subscriptions.
//!
//! Everything a resolver needs is in [`Api`], injected once as schema data; a request adds
//! its [`Principal`] and, for a stream, its `Progress`.

pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod input;
pub(crate) mod loader;
pub(crate) mod mutation;
pub(crate) mod progress;
pub(crate) mod query;
mod response_bytes;
pub(crate) mod subscription;
pub(crate) mod types;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, SDLExportOptions, Schema};

use talkgraph_domain::Principal;
use talkgraph_runtime::Runner;
use talkgraph_store::SharedStore;
use talkgraph_tools::{CallerHeaders, ToolRegistry};

pub(crate) use error::settle;
pub use error::{ApiError, Code};
pub(crate) use progress::{Progress, ResumeAfter};
pub(crate) use response_bytes::{ResponseBytes, charge, charge_items};
pub(crate) use subscription::is_following;

use error::Fault;
use loader::Loads;
use mutation::Mutation;
use query::Query;
use subscription::Subscription;

/// The schema with its resolvers.
pub type ApiSchema = Schema<Query, Mutation, Subscription>;

/// What a client may send and ask for.
#[derive(Debug, Clone)]
pub struct ApiLimits {
    /// The longest message, in bytes of UTF-8.
    pub message_bytes: usize,
    /// The most files of a message.
    pub files: usize,
    /// The largest file of a message, in bytes.
    pub file_bytes: usize,
    /// The longest session title, in characters.
    pub title_chars: usize,
    /// The largest session metadata, in bytes of JSON.
    pub metadata_bytes: usize,
    /// The largest variables of a run, in bytes of JSON.
    pub variables_bytes: usize,
    /// The deepest nesting of such variables.
    pub variables_depth: usize,
    /// How many agents a tenant may have that were made through the API.
    pub agents: u32,
    /// How many versions such an agent may have.
    pub agent_versions: u32,
    /// The most items in one page.
    pub page_size: u32,
    /// The items in a page when the client does not say.
    pub page_size_default: u32,
    /// The deepest nesting of selections, fragments expanded.
    pub query_nesting: usize,
    /// How long a `chat` mutation waits for its answer.
    pub chat_timeout: Duration,
    /// Whether introspection is answered.
    pub introspection: bool,
    /// The most bytes of a response, and of the messages that are read for one level of it.
    pub response_bytes: usize,
}

/// What resolvers work with; made once at start-up.
pub struct Api {
    pub(crate) store: SharedStore,
    pub(crate) runner: Arc<Runner>,
    pub(crate) tools: Arc<ToolRegistry>,
    pub(crate) loads: DataLoader<Loads>,
    pub(crate) limits: ApiLimits,
}

impl Api {
    /// Puts the parts together. Needs a Tokio runtime.
    pub fn new(
        store: SharedStore,
        runner: Arc<Runner>,
        tools: Arc<ToolRegistry>,
        limits: ApiLimits,
    ) -> Self {
        Self {
            loads: loader::new(Arc::clone(&store), limits.response_bytes),
            store,
            runner,
            tools,
            limits,
        }
    }
}

/// Builds the schema around `api`.
pub fn build(api: Api) -> ApiSchema {
    let limits = api.limits.clone();
    let mut builder = Schema::build(Query, Mutation::default(), Subscription)
        // The guard has looked before; this is its second lock.
        .limit_recursive_depth(limits.query_nesting)
        .with_sorted_fields()
        .with_sorted_enums()
        .data(api);
    if !limits.introspection {
        builder = builder.disable_introspection().disable_suggestions();
    }
    types::register(builder).finish()
}

/// The schema as SDL, sorted, for `schema.graphql` and code generators.
pub fn sdl() -> String {
    let schema = types::register(
        Schema::build(Query, Mutation::default(), Subscription)
            .with_sorted_fields()
            .with_sorted_enums(),
    )
    .finish();
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    let sdl = schema.sdl_with_options(options);
    format!("{}\n", sdl.trim_end())
}

/// The parts of the server, out of a resolver's context.
pub(crate) fn api<'a>(ctx: &Context<'a>) -> Result<&'a Api, ApiError> {
    ctx.data::<Api>()
        .map_err(|_| ApiError::fault(Fault::Missing("Api")))
}

/// The headers of the request that tools pass on, out of a resolver's context.
pub(crate) fn caller_headers(ctx: &Context<'_>) -> CallerHeaders {
    ctx.data_opt::<CallerHeaders>().cloned().unwrap_or_default()
}

/// The id of a request, as data of it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// The id of the request, out of a resolver's context.
pub(crate) fn request_id(ctx: &Context<'_>) -> Option<String> {
    ctx.data_opt::<RequestId>().map(|id| id.0.clone())
}

/// Who asks, out of a resolver's context.
pub(crate) fn principal<'a>(ctx: &Context<'a>) -> Result<&'a Principal, ApiError> {
    ctx.data::<Principal>()
        .map_err(|_| ApiError::fault(Fault::Missing("Principal")))
}
