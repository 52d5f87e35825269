//! How a model call fails.

use std::time::Duration;

use thiserror::Error;

use crate::domain::{RunError, RunErrorCode};

/// Why a model call failed. The texts may be shown to the run's owner; a provider's own
/// words are logged where they are read and never become part of an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LlmError {
    /// No connection, or a server error.
    #[error("the model provider could not be reached or had a fault of its own")]
    Unavailable,
    /// 401 or 403.
    #[error("the model provider refused this server's credentials")]
    Auth,
    /// 429.
    #[error("the model provider gets too many requests from this server")]
    RateLimited,
    /// Any other 4xx.
    #[error("the model provider refused the request (HTTP {status})")]
    Rejected {
        /// The status it answered with.
        status: u16,
    },
    /// Bytes that are no valid stream, or an early end.
    #[error("the model provider's answer broke off or could not be read")]
    Protocol,
    /// Nothing came within the limit.
    #[error("the model gave no first token within {} s", .0.as_secs_f32())]
    FirstTokenTimeout(Duration),
    /// The stream stalled.
    #[error("the model gave no further token for {} s", .0.as_secs_f32())]
    IdleTimeout(Duration),
    /// The call took too long as a whole.
    #[error("the model call took longer than {} s", .0.as_secs_f32())]
    TotalTimeout(Duration),
    /// The prompt is too long.
    #[error("the conversation does not fit the model's context{}", of_tokens(*.limit))]
    ContextExceeded {
        /// The context's size in tokens, where the provider tells.
        limit: Option<u32>,
    },
    /// The model's queue is full.
    #[error("the model has no free place; try again in a moment")]
    Busy,
    /// `provider/model` names no provider of this server.
    #[error("this server has no model {model:?}")]
    UnknownModel {
        /// What was asked for.
        model: String,
    },
    /// A fault of this server.
    #[error("the model call failed inside the server")]
    Internal,
}

fn of_tokens(limit: Option<u32>) -> String {
    limit.map_or_else(String::new, |limit| format!(" of {limit} tokens"))
}

impl LlmError {
    /// The kind of run error this becomes.
    pub fn code(&self) -> RunErrorCode {
        match self {
            Self::Unavailable => RunErrorCode::ProviderUnavailable,
            Self::Auth => RunErrorCode::ProviderAuth,
            Self::RateLimited => RunErrorCode::ProviderRateLimited,
            Self::Rejected { .. } | Self::UnknownModel { .. } => RunErrorCode::ProviderRejected,
            Self::Protocol => RunErrorCode::ProviderProtocol,
            Self::FirstTokenTimeout(_) => RunErrorCode::FirstTokenTimeout,
            Self::IdleTimeout(_) => RunErrorCode::IdleTimeout,
            Self::TotalTimeout(_) => RunErrorCode::StepTimeout,
            Self::ContextExceeded { .. } => RunErrorCode::ContextExceeded,
            Self::Busy => RunErrorCode::ModelBusy,
            Self::Internal => RunErrorCode::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::Auth
                | Self::Rejected { .. }
                | Self::UnknownModel { .. }
                | Self::ContextExceeded { .. }
        )
    }
}

impl From<&LlmError> for RunError {
    fn from(error: &LlmError) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
            retryable: error.is_retryable(),
        }
    }
}
