//! Logs: one span for each request, run, step and provider call; pretty on a terminal, JSON
//! elsewhere. Prompts and answers appear only at `trace`, secrets never.

mod json;
mod panics;

use std::io::IsTerminal;
use std::sync::OnceLock;

use thiserror::Error;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::format::{FmtSpan, JsonFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use panics::log_panics;

/// The format of the log once it has started.
static IS_JSON: OnceLock<bool> = OnceLock::new();

/// The log: its filter and its format.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions<'a> {
    /// Level, or directives such as `info,talkgraph_llm=debug`.
    pub filter: &'a str,
    /// JSON, or pretty; JSON unless standard error is a terminal where it is not set.
    pub json: Option<bool>,
}

/// A log that cannot start.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is no level or list of directives.
    #[error("{0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A log has started before.
    #[error("{0}")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard error.
///
/// # Errors
/// Fails when the filter is wrong, or logging has started before.
pub fn start(options: LogOptions<'_>) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(options.filter)?;
    let is_terminal = std::io::stderr().is_terminal();
    let json = options.json.unwrap_or(!is_terminal);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr);
    if json {
        let subscriber = builder
            .fmt_fields(JsonFields::new())
            .event_format(json::FlatJson)
            .finish();
        subscriber.with(quiet_libraries()).try_init()?;
    } else {
        let subscriber = builder.with_target(false).finish();
        subscriber.with(quiet_libraries()).try_init()?;
    }
    // A second start has failed above.
    let _ = IS_JSON.set(json);
    Ok(())
}

/// Returns true when the log has started and is JSON, so that standard error must be all JSON.
pub fn is_json() -> bool {
    IS_JSON.get().copied().unwrap_or(false)
}

/// Keeps libraries at `info`: below that they log the bytes of their connections, with keys,
/// prompts and answers. The MCP client does so at any level; its errors are logged where they are handled.
fn quiet_libraries() -> FilterFn {
    filter_fn(|metadata| {
        let target = metadata.target();
        let name = target.split("::").next().unwrap_or_default();
        let is_own = name == "talkgraph" || name.starts_with("talkgraph_");
        let most = match name {
            "rmcp" => return false,
            _ if is_own => Level::TRACE,
            _ => Level::INFO,
        };
        *metadata.level() <= most
    })
}
