//! Errors of tool calls, and the part of them that callers may see.

use std::time::Duration;

use thiserror::Error;

use super::egress::Refusal;
use super::schema::ArgumentError;

/// The reason why a call has no output.
///
/// All but [`ToolError::Internal`] are shown unchanged to the model or the caller: they contain
/// nothing that either could not know. [`ToolError::Unreachable`] and [`ToolError::Internal`] carry
/// a cause for the log alone.
#[derive(Debug, Error)]
pub enum ToolError {
    /// The named tool does not exist (any more).
    #[error("there is no tool {0:?}")]
    Unknown(String),
    /// The caller's arguments are invalid; it can correct them.
    #[error("the arguments are not valid: {0}")]
    Arguments(#[from] ArgumentError),
    /// The caller's arguments are not JSON; it can correct them.
    #[error("the arguments are not JSON: {0}")]
    NotJson(String),
    /// The call requires approval first.
    #[error("the call requires approval and was not executed")]
    NotApproved,
    /// The URL may not be reached.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another server responded with an error status.
    #[error("the server responded with HTTP status {status}{}{body}", if body.is_empty() { "" } else { ": " })]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the response's body, for tools whose servers are trusted.
        body: String,
    },
    /// Another server did not respond, or not completely.
    #[error("the server cannot be reached: {what}")]
    Unreachable {
        /// The failed operation.
        what: &'static str,
        /// For the log.
        cause: String,
    },
    /// The call took longer than the tool may.
    #[error("the call took longer than {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The tool reports a failure, in its own words.
    #[error("{0}")]
    Failed(String),
    /// The caller has cancelled the call.
    #[error("the call was cancelled")]
    Cancelled,
    /// An internal error of the server.
    #[error("the tool failed inside the server")]
    Internal {
        /// For the log.
        cause: String,
    },
}

impl ToolError {
    /// An internal error, with its cause for the log.
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

    /// The message for the model or the caller.
    pub fn public_message(&self) -> String {
        self.to_string()
    }

    /// Returns true if the server itself is at fault.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Internal { .. })
    }

    /// The cause for the log.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal { cause } | Self::Unreachable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
