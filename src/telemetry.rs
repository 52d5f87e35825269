//! Logs: one span for each request, run, step and provider call; pretty on a terminal, JSON
//! elsewhere. Prompts and answers appear only at `trace`, secrets never.

mod json;
mod panics;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FmtSpan, JsonFields};

use crate::config::{ConfigError, LogFormat, TelemetrySettings};

pub use panics::log_panics;

/// The format of the log once it has started.
static IS_JSON: OnceLock<bool> = OnceLock::new();

/// Starts logging to standard error.
///
/// # Errors
/// When `telemetry.log` is no filter, or logging has started before.
pub fn start(settings: &TelemetrySettings) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&settings.log)
        .map_err(|error| ConfigError::invalid("telemetry.log", error.to_string()))?;
    let is_terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !is_terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr);
    let started = if json {
        builder
            .fmt_fields(JsonFields::new())
            .event_format(json::FlatJson)
            .try_init()
    } else {
        builder.with_target(false).try_init()
    };
    started.map_err(|error| ConfigError::invalid("telemetry", error.to_string()))?;
    // A second start has failed above.
    let _ = IS_JSON.set(json);
    Ok(())
}

/// Whether the log has started and is JSON, so that everything on standard error must be.
pub fn is_json() -> bool {
    IS_JSON.get().copied().unwrap_or(false)
}
