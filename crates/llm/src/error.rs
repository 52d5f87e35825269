//! Errors of model calls.

use std::time::Duration;

use thiserror::Error;

mod named;

pub use self::named::Named;
use super::calls::{MAX_ARGUMENTS_BYTES, MAX_NAME_BYTES, MAX_TOOL_CALLS};
use talkgraph_domain::{RunError, RunErrorCode};

/// The reason why a model call failed. The texts may be shown to the run's owner; a provider's own
/// messages are logged where they are read and never become part of an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LlmError {
    /// The connection failed: no address, refused, or no TLS.
    #[error("the model provider could not be reached")]
    Unreachable,
    /// Connecting exceeded its time limit.
    #[error("the model provider could not be reached in time")]
    ConnectTimeout,
    /// A server error, 408, or a connection that closed without a response.
    #[error("the model provider returned a server error")]
    Unavailable,
    /// 503 or 529, or another server error with a time to retry.
    #[error("the model provider is overloaded{}", of_wait(*.retry_after))]
    Overloaded {
        /// The wait that it requests.
        retry_after: Option<Duration>,
    },
    /// 401 or 403.
    #[error("the model provider refused this server's credentials")]
    Auth,
    /// 429.
    #[error("the model provider reports too many requests from this server{}", of_wait(*.retry_after))]
    RateLimited {
        /// The wait that it requests.
        retry_after: Option<Duration>,
    },
    /// The account has no credit or quota left.
    #[error(
        "the model provider's account has no credit or quota left: check its plan and billing, or \
         use another key or model"
    )]
    QuotaExhausted,
    /// A server that is still loading its model.
    #[error("the model is still being loaded")]
    Loading {
        /// The wait that it requests.
        retry_after: Option<Duration>,
    },
    /// Any other 4xx.
    #[error("the model provider refused the request (HTTP {status}{named})")]
    Rejected {
        /// The status of the response.
        status: u16,
        /// The provider's code, and the invalid parameter.
        named: Named,
    },
    /// The stream is malformed or ended early.
    #[error("the model provider's answer was interrupted or malformed")]
    Protocol,
    /// The model finished without any output.
    #[error("the model's answer is empty")]
    Empty,
    /// The answer is complete or well under way, but unusable: the fault of the model or its
    /// caller, not the provider's.
    #[error("the model's answer cannot be used: {0}")]
    Unusable(Unusable),
    /// No part of the answer arrived within the limit.
    #[error("the model gave no first token within {} s", .0.as_secs_f32())]
    FirstTokenTimeout(Duration),
    /// The stream stalled.
    #[error("the model gave no further token for {} s", .0.as_secs_f32())]
    IdleTimeout(Duration),
    /// The call exceeded its total time limit.
    #[error("the model call took longer than {} s", .0.as_secs_f32())]
    TotalTimeout(Duration),
    /// The prompt is too long.
    #[error("the conversation does not fit the model's context{}", of_tokens(*.limit))]
    ContextExceeded {
        /// The context's size in tokens, if the provider reports it.
        limit: Option<u32>,
    },
    /// The model does not support tools.
    #[error("{} does not support tools: remove them from the agent, or give it another model", of_model(.model.as_deref()))]
    ToolsUnsupported {
        /// `provider/model`, once known.
        model: Option<String>,
    },
    /// The model's queue is full.
    #[error("the model has no free capacity; try again in a moment")]
    Busy,
    /// The model has failed so often in a row that it is not called for a while.
    #[error("the model has failed several times in a row and is not called for a while")]
    CircuitOpen,
    /// `provider/model` names no provider of this server.
    #[error("this server has no model {model:?}")]
    UnknownModel {
        /// The requested model.
        model: String,
    },
    /// An internal error of this server.
    #[error("the model call failed inside the server")]
    Internal,
}

/// The reason why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unusable {
    /// Too many calls in one answer.
    #[error("it has more than {MAX_TOOL_CALLS} tool calls")]
    TooManyCalls,
    /// The arguments of one call are too long.
    #[error("it has a tool call with more than {MAX_ARGUMENTS_BYTES} bytes of arguments")]
    ArgumentsTooLong,
    /// The name of a tool is too long.
    #[error("it has a tool's name of more than {MAX_NAME_BYTES} bytes")]
    NameTooLong,
    /// A call without a name.
    #[error("it has a tool call without a name")]
    Nameless,
    /// A call that its provider could not parse.
    #[error("it has a malformed tool call")]
    Malformed,
    /// A part that exceeds the maximum event size.
    #[error("a part of it is too large")]
    PartTooLarge,
}

fn of_tokens(limit: Option<u32>) -> String {
    limit.map_or_else(String::new, |limit| format!(" of {limit} tokens"))
}

fn of_model(model: Option<&str>) -> String {
    model.map_or_else(
        || "the model".to_owned(),
        |model| format!("the model {model:?}"),
    )
}

fn of_wait(wait: Option<Duration>) -> String {
    let seconds = |wait: Duration| format!("; it asks to wait {} s", wait.as_secs_f32().ceil());
    wait.map_or_else(String::new, seconds)
}

/// The statuses of an invalid request, which would fail with any model.
const BAD_REQUEST: [u16; 2] = [400, 422];

/// The information about a model's health in the outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// The model responds, if only with a refusal.
    Well,
    /// The model does not respond.
    Ill,
    /// The call did not reach the model, or the error is not the model's.
    Unknown,
}

impl LlmError {
    /// The error of an HTTP status, with the value of its `Retry-After`.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            401 | 403 => Self::Auth,
            429 => Self::RateLimited { retry_after },
            // 529 is Anthropic's for an overload.
            503 | 529 => Self::Overloaded { retry_after },
            408 | 500.. if retry_after.is_some() => Self::Overloaded { retry_after },
            408 | 500.. => Self::Unavailable,
            402 => Self::QuotaExhausted,
            status => Self::rejected(status),
        }
    }

    /// A refusal without a code.
    pub(crate) fn rejected(status: u16) -> Self {
        let named = Named::default();
        Self::Rejected { status, named }
    }

    /// The corresponding kind of run error.
    pub fn code(&self) -> RunErrorCode {
        match self {
            Self::ConnectTimeout => RunErrorCode::ConnectTimeout,
            Self::Unreachable
            | Self::Unavailable
            | Self::Overloaded { .. }
            | Self::Loading { .. }
            | Self::CircuitOpen => RunErrorCode::ProviderUnavailable,
            Self::QuotaExhausted => RunErrorCode::ProviderQuotaExhausted,
            Self::Auth => RunErrorCode::ProviderAuth,
            Self::RateLimited { .. } => RunErrorCode::ProviderRateLimited,
            Self::Rejected { .. } | Self::UnknownModel { .. } => RunErrorCode::ProviderRejected,
            Self::Protocol | Self::Unusable(Unusable::PartTooLarge) => {
                RunErrorCode::ProviderProtocol
            }
            Self::Empty => RunErrorCode::EmptyAnswer,
            Self::Unusable(_) => RunErrorCode::ToolArguments,
            Self::FirstTokenTimeout(_) => RunErrorCode::FirstTokenTimeout,
            Self::IdleTimeout(_) => RunErrorCode::IdleTimeout,
            Self::TotalTimeout(_) => RunErrorCode::CallTimeout,
            Self::ContextExceeded { .. } => RunErrorCode::ContextExceeded,
            Self::ToolsUnsupported { .. } => RunErrorCode::ToolsUnsupported,
            Self::Busy => RunErrorCode::ModelBusy,
            Self::Internal => RunErrorCode::Internal,
        }
    }

    /// Returns true if the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Auth
            | Self::QuotaExhausted
            | Self::UnknownModel { .. }
            | Self::ContextExceeded { .. }
            | Self::ToolsUnsupported { .. } => false,
            Self::Rejected { status, .. } => *status == 409,
            _ => true,
        }
    }

    /// Returns true if the same model is called again at once, before any part of an answer was
    /// published. A call that has taken its full time is not repeated: the next one would take it
    /// too.
    pub(crate) fn is_retried(&self) -> bool {
        match self {
            Self::Unreachable
            | Self::ConnectTimeout
            | Self::Unavailable
            | Self::Overloaded { .. }
            | Self::RateLimited { .. }
            | Self::Protocol
            | Self::Empty
            // Another attempt of the model may be readable.
            | Self::Unusable(Unusable::Malformed) => true,
            Self::Rejected { status, .. } => *status == 409,
            _ => false,
        }
    }

    /// Returns true if the next model of the agent's list is called: always, unless the request
    /// itself was refused, which other models would refuse as well. Credentials, credit, a model's
    /// name, its features and the size of its context belong to the provider.
    pub(crate) fn falls_back(&self) -> bool {
        !matches!(self, Self::Rejected { status, .. } if BAD_REQUEST.contains(status))
    }

    /// The information about the model's health, for its breaker.
    pub(crate) fn health(&self) -> Health {
        match self {
            Self::Unreachable
            | Self::ConnectTimeout
            | Self::Unavailable
            | Self::Overloaded { .. }
            | Self::Protocol
            | Self::FirstTokenTimeout(_)
            | Self::IdleTimeout(_) => Health::Ill,
            Self::Unusable(_)
            | Self::Empty
            | Self::Rejected { .. }
            | Self::ContextExceeded { .. }
            | Self::ToolsUnsupported { .. } => Health::Well,
            // A caller can request an answer that takes longer than that.
            Self::TotalTimeout(_)
            // A rate limit has its own pause; refused credentials do not concern the model.
            | Self::RateLimited { .. }
            | Self::QuotaExhausted
            // Loading has its own wait.
            | Self::Loading { .. }
            | Self::Auth
            | Self::Busy
            | Self::CircuitOpen
            | Self::UnknownModel { .. }
            | Self::Internal => Health::Unknown,
        }
    }

    /// Adds `provider/model` to errors that name the model.
    pub(crate) fn of(self, model: &str) -> Self {
        match self {
            Self::ToolsUnsupported { .. } => Self::ToolsUnsupported {
                model: Some(model.to_owned()),
            },
            error => error,
        }
    }

    /// The wait that the provider requests.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::Loading { retry_after } => *retry_after,
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_retried_falls_back_and_counts_as_it_should() {
        use Health::{Ill, Unknown, Well};
        for (status, retried, falls_back, health) in [
            (301, false, true, Well),
            (400, false, false, Well),
            (401, false, true, Unknown),
            (402, false, true, Unknown),
            (403, false, true, Unknown),
            (404, false, true, Well),
            (408, true, true, Ill),
            (409, true, true, Well),
            (413, false, true, Well),
            (422, false, false, Well),
            (429, true, true, Unknown),
            (500, true, true, Ill),
            (502, true, true, Ill),
            (503, true, true, Ill),
            (504, true, true, Ill),
            (529, true, true, Ill),
        ] {
            let error = LlmError::of_status(status, None);
            let is = (error.is_retried(), error.falls_back(), error.health());
            assert_eq!(is, (retried, falls_back, health), "{status}: {error:?}");
        }
    }

    #[test]
    fn content_of_an_answer_is_no_provider_failure() {
        let answer = LlmError::Unusable(Unusable::TooManyCalls);
        assert_eq!(answer.health(), Health::Well);
        assert!(!answer.is_retried());
        let long = LlmError::TotalTimeout(Duration::ZERO);
        assert_eq!(long.health(), Health::Unknown);
    }

    #[test]
    fn each_limit_in_time_has_its_code() {
        let limits: [(LlmError, RunErrorCode); 4] = [
            (LlmError::ConnectTimeout, RunErrorCode::ConnectTimeout),
            (
                LlmError::FirstTokenTimeout(Duration::ZERO),
                RunErrorCode::FirstTokenTimeout,
            ),
            (
                LlmError::IdleTimeout(Duration::ZERO),
                RunErrorCode::IdleTimeout,
            ),
            (
                LlmError::TotalTimeout(Duration::ZERO),
                RunErrorCode::CallTimeout,
            ),
        ];
        for (error, code) in limits {
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn requested_wait_is_reported() {
        let limited = |wait: Option<u64>| LlmError::RateLimited {
            retry_after: wait.map(Duration::from_millis),
        };
        let told = "the model provider reports too many requests from this server";
        assert_eq!(limited(None).to_string(), told);
        assert_eq!(
            limited(Some(6_100)).to_string(),
            format!("{told}; it asks to wait 7 s")
        );
        let wait = Some(Duration::from_secs(5));
        for status in [408, 500, 502, 503] {
            let error = LlmError::of_status(status, wait);
            assert_eq!(error.retry_after(), wait, "{status}");
        }
    }
}
