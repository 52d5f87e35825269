//! Logs: one span for each request, run, step and provider call; pretty on a terminal, JSON
//! elsewhere. Prompts and answers appear only at `trace`, secrets never.

mod json;
mod panics;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::format::{FmtSpan, JsonFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, LogFormat, TelemetrySettings};

pub use panics::log_panics;

/// The format of the log once it has started.
static IS_JSON: OnceLock<bool> = OnceLock::new();

/// Starts logging to standard error.
///
/// # Errors
/// Fails when `telemetry.log` is no filter, or logging has started before.
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
        let subscriber = builder
            .fmt_fields(JsonFields::new())
            .event_format(json::FlatJson)
            .finish();
        subscriber.with(quiet_libraries()).try_init()
    } else {
        let subscriber = builder.with_target(false).finish();
        subscriber.with(quiet_libraries()).try_init()
    };
    started.map_err(|error| ConfigError::invalid("telemetry", error.to_string()))?;
    // A second start has failed above.
    let _ = IS_JSON.set(json);
    Ok(())
}

/// Returns true when the log has started and is JSON, so that standard error must be all JSON.
pub fn is_json() -> bool {
    IS_JSON.get().copied().unwrap_or(false)
}

/// Keeps libraries at `info`: below that they log what passes over the wire, with keys, prompts
/// and answers. The MCP client does so at any level; its errors are logged where they are handled.
fn quiet_libraries() -> FilterFn {
    filter_fn(|metadata| {
        let target = metadata.target();
        let most = match target.split("::").next() {
            Some("talkgraph") => Level::TRACE,
            Some("rmcp") => return false,
            _ => Level::INFO,
        };
        *metadata.level() <= most
    })
}
