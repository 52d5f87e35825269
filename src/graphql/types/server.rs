//! The server and its caller.

use async_graphql::SimpleObject;

/// Information about this server.
#[derive(SimpleObject)]
pub(crate) struct ServerInfo {
    /// The server's version, after Semantic Versioning, such as `1.4.0`.
    pub(crate) version: String,
    /// The names of the configured model providers.
    pub(crate) providers: Vec<String>,
    /// The number of active runs of all tenants. Null without the scope `operator`.
    pub(crate) active_runs: Option<usize>,
}

/// The authenticated caller.
#[derive(SimpleObject)]
pub(crate) struct Viewer {
    /// The tenant whose data the caller sees.
    pub(crate) tenant: String,
    /// The owner within the tenant.
    pub(crate) owner: String,
    /// The name of the credential in the server's settings.
    pub(crate) name: String,
}
