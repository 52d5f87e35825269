//! Logs.

use serde::{Deserialize, Serialize};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

unbounded!(LogFormat);

sections! {
    /// Logs.
    TelemetrySettings {
        /// Level of the log: error, warn, info, debug, trace, or directives such as
        /// "info,talkgraph_llm=debug". Prompts and answers appear only at trace, secrets never.
        /// Libraries log at info at most: below that they log the bytes of their connections.
        log: String = "info",
        /// Format of the log: auto (pretty on a terminal, JSON elsewhere), pretty or json.
        format: LogFormat = "auto",
        /// Longest time for which a task may hold a thread of the server, in milliseconds. One that
        /// takes longer is logged as an error with its kind and id, once and again when it has
        /// ended, and /health/live answers 503 meanwhile. With all threads held it does not answer
        /// at all.
        stuck_after_ms: u64 = 5_000,
    }
}
