//! The GraphQL API: types, queries, mutations, subscriptions.
//!
//! [`Api`] holds the services of resolvers and is injected once as schema data; a request adds its
//! [`Principal`] and, for a stream, its `Progress`.

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

pub(crate) use error::finish_errors;
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

/// The limits on client input and on queries.
#[derive(Debug, Clone)]
pub struct ApiLimits {
    /// The maximum length of a message, in bytes of UTF-8.
    pub message_bytes: usize,
    /// The maximum number of files of a message.
    pub files: usize,
    /// The maximum size of a file of a message, in bytes.
    pub file_bytes: usize,
    /// The maximum length of a session title, in characters.
    pub title_chars: usize,
    /// The maximum size of session metadata, in bytes of JSON.
    pub metadata_bytes: usize,
    /// The maximum size of the variables of a run, in bytes of JSON.
    pub variables_bytes: usize,
    /// The maximum nesting of such variables.
    pub variables_depth: usize,
    /// The maximum number of API-defined agents of a tenant.
    pub agents: u32,
    /// The maximum number of versions of such an agent.
    pub agent_versions: u32,
    /// The maximum number of items of a page.
    pub page_size: u32,
    /// The default number of items of a page.
    pub page_size_default: u32,
    /// The maximum nesting of selections, with fragments expanded.
    pub query_nesting: usize,
    /// The time that a `chat` mutation waits for its answer.
    pub chat_timeout: Duration,
    /// True if introspection is allowed.
    pub introspection: bool,
    /// The maximum size of a response, and of the messages read for one level of it, in bytes.
    pub response_bytes: usize,
}

/// The services of resolvers, created once at start-up.
pub struct Api {
    pub(crate) store: SharedStore,
    pub(crate) runner: Arc<Runner>,
    pub(crate) tools: Arc<ToolRegistry>,
    pub(crate) loads: DataLoader<Loads>,
    pub(crate) limits: ApiLimits,
}

impl Api {
    /// Assembles the services. Requires a Tokio runtime.
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
        // The guard has already checked this; here it is a second line of defence.
        .limit_recursive_depth(limits.query_nesting)
        .with_sorted_fields()
        .with_sorted_enums()
        .data(api);
    if !limits.introspection {
        builder = builder.disable_introspection().disable_suggestions();
    }
    types::register(builder).finish()
}

/// Returns the schema as sorted SDL, for `schema.graphql` and code generators.
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

/// Returns the services from a resolver's context.
pub(crate) fn api<'a>(ctx: &Context<'a>) -> Result<&'a Api, ApiError> {
    ctx.data::<Api>()
        .map_err(|_| ApiError::fault(Fault::Missing("Api")))
}

/// Returns the request headers that tools forward, from a resolver's context.
pub(crate) fn caller_headers(ctx: &Context<'_>) -> CallerHeaders {
    ctx.data_opt::<CallerHeaders>().cloned().unwrap_or_default()
}

/// The id of a request, as request data.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Returns the id of the request from a resolver's context.
pub(crate) fn request_id(ctx: &Context<'_>) -> Option<String> {
    ctx.data_opt::<RequestId>().map(|id| id.0.clone())
}

/// Returns the caller from a resolver's context.
pub(crate) fn principal<'a>(ctx: &Context<'a>) -> Result<&'a Principal, ApiError> {
    ctx.data::<Principal>()
        .map_err(|_| ApiError::fault(Fault::Missing("Principal")))
}
