//! Logs: one span for each request, run, step and provider call; pretty on a terminal, JSON
//! elsewhere. Prompts and answers appear only at `trace`, secrets never.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{ConfigError, LogFormat, TelemetrySettings};

/// Starts logging to standard error.
pub fn start(settings: &TelemetrySettings) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(with_quiet_rmcp(&settings.log))
        .map_err(|error| ConfigError::invalid("telemetry.log", error.to_string()))?;
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr);
    let started = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    started.map_err(|error| ConfigError::invalid("telemetry", error.to_string()))
}

/// Leaves out what rmcp has to say of each message: a server could fill the disk with its
/// notifications.
fn with_quiet_rmcp(log: &str) -> String {
    match log.trim() {
        "" | "off" | "error" | "warn" => log.to_owned(),
        named if named.contains("rmcp") => log.to_owned(),
        _ => format!("rmcp=warn,{log}"),
    }
}
