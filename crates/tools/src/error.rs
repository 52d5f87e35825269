//! How a call fails, and what of it may be told.

use std::time::Duration;

use thiserror::Error;

use super::egress::Refusal;
use super::schema::ArgumentError;

/// Why a call has no output.
///
/// All but [`ToolError::Internal`] are told as they stand, to the model or to whoever called:
/// they say nothing that either could not know. [`ToolError::Unreachable`] and
/// [`ToolError::Internal`] carry a cause, which is for the log alone.
#[derive(Debug, Error)]
pub enum ToolError {
    /// The caller named a tool that is not there (any more).
    #[error("there is no tool {0:?}")]
    Unknown(String),
    /// The caller's arguments are wrong; it can mend them.
    #[error("the arguments are not valid: {0}")]
    Arguments(#[from] ArgumentError),
    /// The caller's arguments are no JSON; it can mend them.
    #[error("the arguments are no JSON: {0}")]
    NotJson(String),
    /// Somebody has to be asked about the call first.
    #[error("somebody has to be asked about this call first: it was not made")]
    NotApproved,
    /// The URL may not be reached.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another server answered, but not with success.
    #[error("the server answered with HTTP status {status}{}{body}", if body.is_empty() { "" } else { ": " })]
    Status {
        /// The status.
        status: u16,
        /// The beginning of what it said, for tools whose servers are trusted.
        body: String,
    },
    /// Another server did not answer, or not to the end.
    #[error("the server cannot be reached: {what}")]
    Unreachable {
        /// What did not work.
        what: &'static str,
        /// For the log.
        cause: String,
    },
    /// The call took longer than the tool may.
    #[error("the call took longer than {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The tool says that it failed, in its own words.
    #[error("{0}")]
    Failed(String),
    /// Whoever called does not want it any more.
    #[error("the call was cancelled")]
    Cancelled,
    /// The server's fault.
    #[error("the tool failed inside the server")]
    Internal {
        /// For the log.
        cause: String,
    },
}

impl ToolError {
    /// The server's fault, with its cause for the log.
    pub fn internal(cause: impl ToString) -> Self {
        Self::Internal {
            cause: cause.to_string(),
        }
    }

    /// A stable name for the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "UNKNOWN_TOOL",
            Self::Arguments(_) | Self::NotJson(_) => "INVALID_ARGUMENTS",
            Self::NotApproved => "NOT_APPROVED",
            Self::Refused(_) => "REFUSED",
            Self::Status { .. } => "HTTP_STATUS",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::TimedOut(_) => "TIMED_OUT",
            Self::Failed(_) => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Internal { .. } => "INTERNAL",
        }
    }

    /// What the model, or whoever called, is told.
    pub fn told(&self) -> String {
        self.to_string()
    }

    /// Whether the server itself is at fault.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Internal { .. })
    }

    /// What is for the log alone.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal { cause } | Self::Unreachable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
