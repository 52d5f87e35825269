//! The server and who is asking it.

use async_graphql::SimpleObject;

/// About this server.
#[derive(SimpleObject)]
pub(crate) struct ServerInfo {
    /// Its version, after Semantic Versioning.
    pub(crate) version: String,
    /// The providers of models it can call.
    pub(crate) providers: Vec<String>,
    /// The runs of all tenants that are active now. Null without the scope `operator`.
    pub(crate) active_runs: Option<usize>,
}

/// Whoever is asking.
#[derive(SimpleObject)]
pub(crate) struct Viewer {
    /// The tenant whose data is seen.
    pub(crate) tenant: String,
    /// The owner within the tenant.
    pub(crate) owner: String,
    /// What the credential is called in the server's settings.
    pub(crate) name: String,
}
