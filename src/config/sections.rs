//! The settings' types. What each key means stands in `talkgraph.example.toml`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::ConfigError;
use super::providers::{NamedProviderSettings, ProviderSettings};
use crate::domain::principal::is_valid_name;
use crate::domain::{OnRestart, Scope, one_or_many};
use crate::guard::Trust;

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
        auth: AuthSettings,
        telemetry: TelemetrySettings,
    }

    /// The listener and the transports.
    HttpSettings {
        address: IpAddr,
        port: u16,
        connections: usize,
        head_timeout_ms: u64,
        body_limit_bytes: usize,
        body_timeout_ms: u64,
        query_timeout_ms: u64,
        request_timeout_ms: u64,
        cors_origins: Vec<String>,
        graphiql: bool,
        introspection: bool,
        keep_alive_ms: u64,
        streams: usize,
        websocket_init_timeout_ms: u64,
        websocket_message_bytes: usize,
        websocket_operations: usize,
        websocket_connections: usize,
        websocket_connections_total: usize,
        websocket_stall_timeout_ms: u64,
        stream_stall_timeout_ms: u64,
        drain_timeout_ms: u64,
    }

    /// The database.
    StoreSettings {
        #[serde(serialize_with = "hide_password")]
        url: SecretString,
        connections: u32,
        acquire_timeout_ms: u64,
        connect_timeout_ms: u64,
        statement_timeout_ms: u64,
        sqlite_busy_timeout_ms: u64,
        sqlite_synchronous_full: bool,
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_output_tokens: Option<u32>,
        on_restart: OnRestart,
        restarts: u32,
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
    }

    /// Who may call.
    AuthSettings {
        keys: Vec<KeySettings>,
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
    }
}

mod tools;

pub use tools::{
    EgressSettings, HttpFetchSettings, HttpToolSettings, McpServerSettings, OperationToolSettings,
    SecretSetting, ToolSettings,
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

/// async-graphql's parser stops at 64 selections inside each other.
const QUERY_NESTING: RangeInclusive<usize> = 1..=64;

/// More than this is a token that people see being late.
const MOST_WRITE_GATHER_US: u64 = 20_000;

/// A run that waits keeps its session to itself.
const MOST_INTERRUPT_EXPIRY_S: u64 = 31_536_000;

const HIDDEN: &str = "(hidden)";

#[expect(clippy::ref_option, reason = "serde hands the field by reference")]
pub(super) fn hide<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.is_some() { HIDDEN } else { "" })
}

pub(super) fn hide_all<S: Serializer>(secrets: &[SecretString], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(secrets.iter().map(|_| HIDDEN))
}

/// A database URL is worth showing, its password is not.
fn hide_password<S: Serializer>(url: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&without_password(url))
}

fn without_password(url: &SecretString) -> String {
    let url = url.expose_secret();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{HIDDEN}@{host}"),
        _ => url.to_owned(),
    }
}

impl StoreSettings {
    /// Where the database is, without its password.
    pub(crate) fn shown_url(&self) -> String {
        without_password(&self.url)
    }
}

/// Milliseconds, as the settings give them.
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Settings {
    /// Refuses what no part of the server could work with.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_positive()?;
        self.tools.check()?;
        if self.auth.keys.is_empty() && !self.http.address.is_loopback() {
            return Err(ConfigError::invalid(
                "http.address",
                format!(
                    "{} can be reached by others, which needs [[auth.keys]]; without keys only \
                     loopback (127.0.0.1 or ::1) is allowed",
                    self.http.address
                ),
            ));
        }
        for key in &self.auth.keys {
            key.check()?;
        }
        self.models.check()?;
        if self.documents.trusted_documents != Trust::Off && self.documents.manifest.is_none() {
            return Err(ConfigError::invalid(
                "documents.manifest",
                "documents.trusted_documents needs the manifest that lists them",
            ));
        }
        if !QUERY_NESTING.contains(&self.limits.query_nesting) {
            return Err(ConfigError::invalid(
                "limits.query_nesting",
                "must be from 1 to 64: the parser follows no deeper",
            ));
        }
        if self.runs.interrupt_expiry_s > MOST_INTERRUPT_EXPIRY_S {
            return Err(ConfigError::invalid(
                "runs.interrupt_expiry_s",
                format!(
                    "at most {MOST_INTERRUPT_EXPIRY_S}, a year: the session is busy until then"
                ),
            ));
        }
        if self.store.write_gather_us > MOST_WRITE_GATHER_US {
            return Err(ConfigError::invalid(
                "store.write_gather_us",
                format!("at most {MOST_WRITE_GATHER_US}: everybody who reads a run waits for it"),
            ));
        }
        if self.limits.page_size_default > self.limits.page_size {
            return Err(ConfigError::invalid(
                "limits.page_size_default",
                format!("at most limits.page_size ({})", self.limits.page_size),
            ));
        }
        Ok(())
    }

    fn check_positive(&self) -> Result<(), ConfigError> {
        let positive: [(&'static str, u64); 37] = [
            ("agents.versions", u64::from(self.agents.versions)),
            ("http.connections", self.http.connections as u64),
            ("http.head_timeout_ms", self.http.head_timeout_ms),
            ("http.body_limit_bytes", self.http.body_limit_bytes as u64),
            ("http.body_timeout_ms", self.http.body_timeout_ms),
            ("http.query_timeout_ms", self.http.query_timeout_ms),
            ("limits.errors", self.limits.errors as u64),
            ("http.request_timeout_ms", self.http.request_timeout_ms),
            ("http.keep_alive_ms", self.http.keep_alive_ms),
            ("http.streams", self.http.streams as u64),
            (
                "http.websocket_init_timeout_ms",
                self.http.websocket_init_timeout_ms,
            ),
            (
                "http.websocket_message_bytes",
                self.http.websocket_message_bytes as u64,
            ),
            (
                "http.websocket_operations",
                self.http.websocket_operations as u64,
            ),
            (
                "http.websocket_connections",
                self.http.websocket_connections as u64,
            ),
            (
                "http.websocket_connections_total",
                self.http.websocket_connections_total as u64,
            ),
            (
                "http.websocket_stall_timeout_ms",
                self.http.websocket_stall_timeout_ms,
            ),
            ("store.connections", u64::from(self.store.connections)),
            ("store.write_queue", self.store.write_queue as u64),
            ("store.write_group", self.store.write_group as u64),
            (
                "models.resilience.attempts",
                u64::from(self.models.resilience.attempts),
            ),
            (
                "models.embedded.context_tokens",
                self.models.embedded.context_tokens as u64,
            ),
            ("runs.active", self.runs.active as u64),
            ("runs.timeout_s", self.runs.timeout_s),
            ("runs.answer_bytes", self.runs.answer_bytes as u64),
            ("runs.tail_events", self.runs.tail_events as u64),
            ("runs.lease_s", self.runs.lease_s),
            ("runs.idempotency_ttl_s", self.runs.idempotency_ttl_s),
            ("runs.step_timeout_s", self.runs.step_timeout_s),
            ("runs.max_steps", u64::from(self.runs.max_steps)),
            ("runs.interrupt_expiry_s", self.runs.interrupt_expiry_s),
            ("runs.interrupts", self.runs.interrupts as u64),
            ("runs.parallel_tools", self.runs.parallel_tools as u64),
            (
                "runs.max_output_tokens",
                self.runs.max_output_tokens.map_or(1, u64::from),
            ),
            (
                "runs.subscriber_lag_events",
                self.runs.subscriber_lag_events,
            ),
            (
                "http.stream_stall_timeout_ms",
                self.http.stream_stall_timeout_ms,
            ),
            ("limits.message_bytes", self.limits.message_bytes as u64),
            ("limits.page_size", u64::from(self.limits.page_size)),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::invalid(*key, "must be at least 1")),
            None => Ok(()),
        }
    }
}

impl KeySettings {
    fn check(&self) -> Result<(), ConfigError> {
        for (key, name) in [
            ("auth.keys.tenant", &self.tenant),
            ("auth.keys.owner", &self.owner),
            ("auth.keys.name", &self.name),
        ] {
            if !is_valid_name(name) {
                return Err(ConfigError::invalid(
                    key,
                    format!("{name:?} must be 1 to 128 of letters, digits and . _ @ -"),
                ));
            }
        }
        let hex = self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.sha256.len() != 64 || !hex {
            return Err(ConfigError::invalid(
                "auth.keys.sha256",
                format!("of key {:?} must be 64 hexadecimal digits", self.name),
            ));
        }
        Ok(())
    }
}
