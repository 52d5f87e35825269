//! The server and who is asking it.

use async_graphql::SimpleObject;

/// About this server.
#[derive(SimpleObject)]
pub(crate) struct ServerInfo {
    /// Its version, after Semantic Versioning.
    pub(crate) version: String,
    /// The providers of models it can call.
    pub(crate) providers: Vec<String>,
    /// How many answers are being made right now.
    pub(crate) active_runs: usize,
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
