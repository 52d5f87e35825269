//! The settings' types. What each key means stands in `talkgraph.example.toml`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::providers::{NamedProviderSettings, ProviderSettings};
use crate::guard::Trust;
use talkgraph_domain::{OnRestart, Scope, one_or_many};

/// The pooler in front of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolerSetting {
    /// Found out at start.
    Auto,
    /// A pooler in transaction mode.
    Transaction,
    /// None, or one in session mode.
    None,
}

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $key:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs, reason = "talkgraph.example.toml documents every key")]
        pub struct $name { $($(#[$attribute])* pub $key: $type,)* }
    )*};
}

sections! {
    /// All settings.
    Settings {
        http: HttpSettings,
        store: StoreSettings,
        agents: AgentsSettings,
        models: ModelsSettings,
        runs: RunSettings,
        documents: DocumentSettings,
        limits: LimitSettings,
        tools: ToolSettings,
        evaluation: EvaluationSettings,
        auth: AuthSettings,
        telemetry: TelemetrySettings,
        // Names of variables that look like settings and are none.
        #[serde(skip)]
        ignored_variables: Vec<String>,
    }

    /// The listener and the transports.
    HttpSettings {
        address: IpAddr,
        port: u16,
        connections: usize,
        head_timeout_ms: u64,
        head_bytes: u32,
        in_flight_bytes: usize,
        body_limit_bytes: usize,
        body_timeout_ms: u64,
        query_timeout_ms: u64,
        request_timeout_ms: u64,
        hosts: Vec<String>,
        cors_origins: Vec<String>,
        graphiql: bool,
        introspection: bool,
        keep_alive_ms: u64,
        streams: usize,
        streams_total: usize,
        websocket_init_timeout_ms: u64,
        websocket_message_bytes: usize,
        websocket_queue_bytes: usize,
        websocket_operations: usize,
        websocket_connections: usize,
        websocket_connections_total: usize,
        websocket_stall_timeout_ms: u64,
        stream_stall_timeout_ms: u64,
        ready_timeout_ms: u64,
        shutdown_delay_ms: u64,
        drain_timeout_ms: u64,
        stop_grace_ms: u64,
    }

    /// The database.
    StoreSettings {
        #[serde(serialize_with = "secret::hide_password")]
        url: SecretString,
        migrate: bool,
        connections: u32,
        acquire_timeout_ms: u64,
        connect_timeout_ms: u64,
        statement_timeout_ms: u64,
        pooler: PoolerSetting,
        sqlite_busy_timeout_ms: u64,
        sqlite_synchronous_full: bool,
        sqlite_recent_groups: u32,
        sqlite_wal_bytes: u64,
        sqlite_rewrite_bytes: u64,
        write_queue: usize,
        write_group: usize,
        write_queue_timeout_ms: u64,
        write_gather_us: u64,
    }

    /// The agents that come from files.
    AgentsSettings {
        folder: PathBuf,
        default: String,
        per_tenant: u32,
        versions: u32,
    }

    /// The model providers.
    ModelsSettings {
        #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
        default: Vec<String>,
        proxy_from_env: bool,
        resilience: ResilienceSettings,
        openai: ProviderSettings,
        anthropic: ProviderSettings,
        gemini: ProviderSettings,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        providers: BTreeMap<String, NamedProviderSettings>,
        embedded: EmbeddedSettings,
    }

    /// How providers are called that may fail.
    ResilienceSettings {
        attempts: u32,
        backoff_ms: u64,
        backoff_cap_ms: u64,
        retry_after_cap_ms: u64,
        loading_timeout_ms: u64,
        refused_parameters_s: u64,
        retry_percent: u32,
        retry_floor: u32,
        breaker_failures: u32,
        breaker_pause_ms: u64,
    }

    /// The model inside the server.
    EmbeddedSettings {
        enabled: bool,
        path: PathBuf,
        threads: usize,
        queue: usize,
        context_tokens: usize,
        cached_conversations: usize,
    }

    /// Runs.
    RunSettings {
        active: usize,
        queued: usize,
        timeout_s: u64,
        history_messages: u32,
        answer_bytes: usize,
        log_events: u64,
        log_bytes: u64,
        tail_events: usize,
        lease_s: u64,
        idempotency_ttl_s: u64,
        step_timeout_s: u64,
        max_steps: u32,
        parallel_tools: usize,
        tool_mistakes: u32,
        max_handoffs: u32,
        max_depth: u32,
        output_repairs: u32,
        empty_answers: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_output_tokens: Option<u32>,
        on_restart: OnRestart,
        restarts: u32,
        resumed_at_once: usize,
        probation_ms: u64,
        store_outage_s: u64,
        session_queue: u32,
        interrupt_expiry_s: u64,
        interrupts: usize,
        log_retention_s: u64,
        subscriber_behind_events: u64,
        subscriber_lag_events: u64,
    }

    /// The documents that clients can name instead of sending.
    DocumentSettings {
        trusted_documents: Trust,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<PathBuf>,
        registered_bytes: usize,
    }

    /// What a client may send and ask for.
    LimitSettings {
        message_bytes: usize,
        files: usize,
        file_bytes: usize,
        file_url_timeout_ms: u64,
        title_chars: usize,
        metadata_bytes: usize,
        variables_bytes: usize,
        variables_depth: usize,
        page_size: u32,
        page_size_default: u32,
        query_bytes: usize,
        query_tokens: usize,
        query_nesting: usize,
        query_depth: usize,
        query_fields: usize,
        query_root_fields: usize,
        query_aliases: usize,
        query_directives: usize,
        query_complexity: u64,
        variables_nesting: usize,
        variables_values: usize,
        errors: usize,
        response_bytes: usize,
    }

    /// Work whose cost is decided by input.
    EvaluationSettings {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<PathBuf>,
        workers: usize,
        workers_per_tenant: usize,
        queue: usize,
        queue_per_tenant: usize,
        queue_bytes: usize,
        queue_timeout_ms: u64,
        job_timeout_ms: u64,
        start_timeout_ms: u64,
        memory_bytes: u64,
        idle_s: u64,
    }

    /// Who may call.
    AuthSettings {
        keys: Vec<KeySettings>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys_file: Option<PathBuf>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys_folder: Option<PathBuf>,
        reload_interval_ms: u64,
    }

    /// One API key.
    KeySettings {
        name: String,
        tenant: String,
        owner: String,
        sha256: String,
        #[serde(default)]
        scopes: Vec<Scope>,
    }

    /// Logs.
    TelemetrySettings {
        log: String,
        format: LogFormat,
        stuck_after_ms: u64,
    }
}

mod check;
mod secret;
mod tools;

pub use secret::{ArgumentSetting, HiddenSetting, UrlSetting};
pub(super) use secret::{HIDDEN, hide, hide_all};
pub use tools::{
    EgressSettings, HttpFetchSettings, HttpToolSettings, McpServerSettings, OperationToolSettings,
    ProxyUse, SecretSetting, ToolSettings,
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// Milliseconds, as the settings give them.
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
