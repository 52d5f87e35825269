//! Reasons for a job without a result.

use thiserror::Error;

/// The reason for a job without a result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The input is invalid; the text explains it to its author.
    #[error("{0}")]
    Wrong(String),
    /// The input needs a value that is missing.
    #[error("{0}")]
    Undefined(String),
    /// The input takes more time, memory or depth than a job may.
    #[error("it is too costly: {0}")]
    TooCostly(&'static str),
    /// All workers are busy.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// No worker could be started, which is the server's fault. The cause is for the log alone.
    #[error("it cannot be evaluated on this server now")]
    Unavailable(String),
}

impl Failure {
    /// Returns true if the same input may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_))
    }
}
