//! The sections of the settings. Each key has its text, bounds and default in one place.

use std::time::Duration;

sections! {
    /// All settings.
    Settings {
        /// Listener and transports.
        http: HttpSettings,
        /// Database.
        store: StoreSettings,
        /// Agents: from files and from the API.
        agents: AgentsSettings,
        /// Model providers.
        models: ModelsSettings,
        /// Runs.
        runs: RunSettings,
        /// Documents that clients name instead of sending.
        documents: DocumentSettings,
        /// Size and cost of requests.
        limits: LimitSettings,
        /// Tools.
        tools: ToolSettings,
        /// Schemas, templates, expressions and calculations whose cost is not linear in their size.
        /// Workers evaluate them: processes of this program that do one job at a time and are
        /// started on demand.
        evaluation: EvaluationSettings,
        /// API keys. Without keys the server serves only its own machine, as tenant "dev". With keys
        /// every request needs one as `Authorization: Bearer KEY`.
        auth: AuthSettings,
        /// Logs.
        telemetry: TelemetrySettings,
        /// Names of variables that look like settings and are none.
        #[serde(skip)]
        ignored_variables: Vec<String>,
    }
}

mod agents;
mod auth;
mod check;
mod evaluation;
mod http;
mod limits;
mod models;
mod runs;
mod secret;
mod store;
mod telemetry;
mod tools;

pub use agents::AgentsSettings;
pub use auth::{AuthSettings, KeySettings};
pub use evaluation::EvaluationSettings;
pub use http::HttpSettings;
pub use limits::{DocumentSettings, LimitSettings};
pub use models::{EmbeddedSettings, ModelsSettings, ResilienceSettings};
pub use runs::RunSettings;
pub use secret::{ArgumentSetting, HiddenSetting, UrlSetting};
pub(super) use secret::{HIDDEN, hide, hide_all};
pub use store::{PoolerSetting, StoreSettings};
pub use telemetry::{LogFormat, TelemetrySettings};
pub use tools::{
    EgressSettings, HttpFetchSettings, HttpToolSettings, McpServerSettings, OperationToolSettings,
    ProxyUse, SecretSetting, ToolSettings,
};

/// Milliseconds as a duration.
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
