//! What no part of the server could work with.

use std::ops::RangeInclusive;

use super::{EvaluationSettings, KeySettings, Settings};
use crate::config::ConfigError;
use crate::guard::Trust;
use talkgraph_domain::principal::is_valid_name;

/// async-graphql's parser stops at 64 selections inside each other.
const QUERY_NESTING: RangeInclusive<usize> = 1..=64;

/// More than this is a token that people see being late.
const MOST_WRITE_GATHER_US: u64 = 20_000;

/// A shorter log is restarted many times a second.
const LEAST_SQLITE_WAL_BYTES: u64 = 1_048_576;

/// A run that waits keeps its session to itself.
const MOST_INTERRUPT_EXPIRY_S: u64 = 31_536_000;

/// hyper's smallest buffer.
const LEAST_HEAD_BYTES: u32 = 8_192;

impl Settings {
    /// Refuses what no part of the server could work with.
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        self.check_positive()?;
        self.check_sizes()?;
        self.check_care()?;
        self.tools.check()?;
        self.evaluation.check()?;
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
        self.check_http_sizes()?;
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
        if self.store.sqlite_wal_bytes < LEAST_SQLITE_WAL_BYTES {
            return Err(ConfigError::invalid(
                "store.sqlite_wal_bytes",
                format!(
                    "at least {LEAST_SQLITE_WAL_BYTES}: commits would wait all the time for the \
                     log to be begun anew"
                ),
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

    fn check_sizes(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("limits.response_bytes", self.limits.response_bytes as u64),
            ("runs.log_events", self.runs.log_events),
            ("runs.log_bytes", self.runs.log_bytes),
        ];
        match sizes.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::invalid(*key, "must be at least 1")),
            None => Ok(()),
        }
    }

    fn check_http_sizes(&self) -> Result<(), ConfigError> {
        let largest = self
            .http
            .body_limit_bytes
            .max(self.http.websocket_message_bytes);
        if self.http.in_flight_bytes / 4 < largest {
            return Err(ConfigError::invalid(
                "http.in_flight_bytes",
                format!(
                    "at least four times {largest}, the larger of http.body_limit_bytes and \
                     http.websocket_message_bytes"
                ),
            ));
        }
        if self.http.head_bytes < LEAST_HEAD_BYTES {
            return Err(ConfigError::invalid(
                "http.head_bytes",
                format!("at least {LEAST_HEAD_BYTES}: it is also how much is read at once"),
            ));
        }
        if self.http.websocket_queue_bytes == 0 {
            let why = "must be at least 1";
            return Err(ConfigError::invalid("http.websocket_queue_bytes", why));
        }
        Ok(())
    }

    fn check_positive(&self) -> Result<(), ConfigError> {
        let positive: [(&'static str, u64); 39] = [
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
            ("http.streams_total", self.http.streams_total as u64),
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
            (
                "store.sqlite_recent_groups",
                u64::from(self.store.sqlite_recent_groups),
            ),
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
        all_positive(&positive)
    }

    /// Checks the settings that detect a stuck server and handle a dead one.
    fn check_care(&self) -> Result<(), ConfigError> {
        all_positive(&[
            ("runs.resumed_at_once", self.runs.resumed_at_once as u64),
            ("telemetry.stuck_after_ms", self.telemetry.stuck_after_ms),
        ])
    }
}

fn all_positive(values: &[(&'static str, u64)]) -> Result<(), ConfigError> {
    match values.iter().find(|(_, value)| *value == 0) {
        Some((key, _)) => Err(ConfigError::invalid(*key, "must be at least 1")),
        None => Ok(()),
    }
}

impl EvaluationSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("evaluation.workers", self.workers as u64),
            (
                "evaluation.workers_per_tenant",
                self.workers_per_tenant as u64,
            ),
            ("evaluation.queue", self.queue as u64),
            ("evaluation.queue_per_tenant", self.queue_per_tenant as u64),
            ("evaluation.queue_bytes", self.queue_bytes as u64),
            ("evaluation.queue_timeout_ms", self.queue_timeout_ms),
            ("evaluation.job_timeout_ms", self.job_timeout_ms),
            ("evaluation.start_timeout_ms", self.start_timeout_ms),
            ("evaluation.memory_bytes", self.memory_bytes),
            ("evaluation.idle_s", self.idle_s),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ConfigError::invalid(*key, "must be at least 1")),
            None => Ok(()),
        }
    }
}

impl KeySettings {
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
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
