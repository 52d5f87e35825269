//! The ways in which a run stops before the model is done, and the errors that it ends with.

use std::time::Duration;

use talkgraph_domain::{RunError, RunErrorCode};
use talkgraph_llm::LlmError;
use talkgraph_store::StoreError;

use crate::run::event_log::LogError;
use crate::run::interrupts::InterruptRequest;

/// The reason for which a run stops before the model is done.
pub(crate) enum RunAbort {
    Cancelled,
    Failed(RunError),
    /// Interrupts have to be resolved first.
    AwaitsInput(Vec<InterruptRequest>),
    /// This server stops; another one resumes the run.
    Released,
    /// Another server holds the run.
    Lost,
}

impl From<LlmError> for RunAbort {
    fn from(error: LlmError) -> Self {
        Self::Failed((&error).into())
    }
}

impl From<StoreError> for RunAbort {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Fenced => return Self::Lost,
            // The log reports the outage, and so does the error of the run.
            StoreError::Unavailable(_) => return Self::Failed(outage()),
            _ => {}
        }
        tracing::error!(%error, "the run cannot go on");
        Self::Failed(internal())
    }
}

impl From<LogError> for RunAbort {
    fn from(error: LogError) -> Self {
        if matches!(error, LogError::Refused(_)) {
            tracing::error!(%error, "the run cannot go on");
        }
        match error {
            LogError::Lost => Self::Lost,
            LogError::Outage(_) => Self::Failed(outage()),
            LogError::Full(message) => Self::Failed(RunError {
                code: RunErrorCode::AnswerTooLong,
                message,
                retryable: false,
            }),
            LogError::Refused(_) => Self::Failed(internal()),
        }
    }
}

pub(crate) fn internal() -> RunError {
    RunError {
        code: RunErrorCode::Internal,
        message: "the server had a fault; its log has it under the run's id".to_owned(),
        retryable: true,
    }
}

fn outage() -> RunError {
    RunError {
        code: RunErrorCode::StoreUnavailable,
        message: "the server's database was away for too long".to_owned(),
        retryable: true,
    }
}

pub(crate) fn too_long(code: RunErrorCode, what: &str, timeout: Duration) -> RunError {
    RunError {
        code,
        message: format!("{what} took longer than {} s", timeout.as_secs()),
        retryable: true,
    }
}
