//! How a model call fails.

use std::time::Duration;

use thiserror::Error;

mod named;

pub use self::named::Named;
use super::calls::{MAX_ARGUMENTS_BYTES, MAX_NAME_BYTES, MAX_TOOL_CALLS};
use talkgraph_domain::{RunError, RunErrorCode};

/// Why a model call failed. The texts may be shown to the run's owner; a provider's own
/// words are logged where they are read and never become part of an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LlmError {
    /// No connection: no address, refused, or no TLS.
    #[error("the model provider could not be reached")]
    Unreachable,
    /// No connection in time.
    #[error("the model provider could not be reached in time")]
    ConnectTimeout,
    /// A server error, 408, or a connection that closed in place of an answer.
    #[error("the model provider had a fault of its own")]
    Unavailable,
    /// 503 or 529, or another server error that says when to come back.
    #[error("the model provider is overloaded{}", of_wait(*.retry_after))]
    Overloaded {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// 401 or 403.
    #[error("the model provider refused this server's credentials")]
    Auth,
    /// 429.
    #[error("the model provider gets too many requests from this server{}", of_wait(*.retry_after))]
    RateLimited {
        /// How long it asks to wait.
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
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Any other 4xx.
    #[error("the model provider refused the request (HTTP {status}{named})")]
    Rejected {
        /// The status it answered with.
        status: u16,
        /// The provider's code, and the parameter at fault.
        named: Named,
    },
    /// Bytes that are no valid stream, or an early end.
    #[error("the model provider's answer broke off or could not be read")]
    Protocol,
    /// The model is done and has said nothing.
    #[error("the model's answer is empty")]
    Empty,
    /// The answer is complete or well on its way, but nothing can be done with it: the model's
    /// doing, or its caller's, and not the provider's.
    #[error("the model's answer cannot be used: {0}")]
    Unusable(Unusable),
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
    /// The model cannot be told of tools.
    #[error("{} takes no tools: take them off the agent, or give it another model", of_model(.model.as_deref()))]
    ToolsUnsupported {
        /// `provider/model`, once that is known.
        model: Option<String>,
    },
    /// The model's queue is full.
    #[error("the model has no free place; try again in a moment")]
    Busy,
    /// The model has failed so often in a row that it is not called for a while.
    #[error("the model has failed several times in a row and is given a rest")]
    CircuitOpen,
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

/// The reason why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unusable {
    /// More than are allowed in one answer.
    #[error("it has more than {MAX_TOOL_CALLS} tool calls")]
    TooManyCalls,
    /// Arguments of one call that are too long.
    #[error("it has a tool call with more than {MAX_ARGUMENTS_BYTES} bytes of arguments")]
    ArgumentsTooLong,
    /// The name of a tool that is too long.
    #[error("it has a tool's name of more than {MAX_NAME_BYTES} bytes")]
    NameTooLong,
    /// A call of nothing.
    #[error("it has a tool call without a name")]
    Nameless,
    /// A call that its provider could not read.
    #[error("it has a tool call that cannot be read")]
    Malformed,
    /// A part that is larger than what is read of a stream at once.
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

/// The request itself is at fault: it would be so anywhere.
const BAD_REQUEST: [u16; 2] = [400, 422];

/// What an answer, or its absence, says of the health of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers, if only with a refusal.
    Well,
    /// It does not.
    Ill,
    /// Neither: the call did not get as far, or the fault is not the model's.
    Unknown,
}

impl LlmError {
    /// The error that an HTTP status stands for, with what its `Retry-After` said.
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

    /// The kind of run error this becomes.
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

    /// Whether the same call may succeed later.
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

    /// Whether the same model is tried again at once, before anything of an answer has been
    /// told. What took its full time already is not: the next try would take it too.
    pub(crate) fn is_retried(&self) -> bool {
        match self {
            Self::Unreachable
            | Self::ConnectTimeout
            | Self::Unavailable
            | Self::Overloaded { .. }
            | Self::RateLimited { .. }
            | Self::Protocol
            | Self::Empty
            // Another try of the model may be readable.
            | Self::Unusable(Unusable::Malformed) => true,
            Self::Rejected { status, .. } => *status == 409,
            _ => false,
        }
    }

    /// Whether the next model of the agent's list is tried: always, unless the request
    /// itself was refused, which another model would do as well. Credentials, credit, a
    /// model's name, what it can do and the size of its context are the provider's own affairs.
    pub(crate) fn falls_back(&self) -> bool {
        !matches!(self, Self::Rejected { status, .. } if BAD_REQUEST.contains(status))
    }

    /// What this says of the model, for its breaker.
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
            // A caller can ask for an answer that is longer than that.
            Self::TotalTimeout(_)
            // A limit has a rest of its own; refused credentials say nothing of the model.
            | Self::RateLimited { .. }
            | Self::QuotaExhausted
            // It has a wait of its own.
            | Self::Loading { .. }
            | Self::Auth
            | Self::Busy
            | Self::CircuitOpen
            | Self::UnknownModel { .. }
            | Self::Internal => Health::Unknown,
        }
    }

    /// The error of `provider/model`, where it says which one that is.
    pub(crate) fn of(self, model: &str) -> Self {
        match self {
            Self::ToolsUnsupported { .. } => Self::ToolsUnsupported {
                model: Some(model.to_owned()),
            },
            error => error,
        }
    }

    /// How long the provider asks to wait.
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
    fn nothing_that_an_answer_says_is_its_providers_failure() {
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
    fn a_wait_is_told_where_the_provider_asks_for_it() {
        let limited = |wait: Option<u64>| LlmError::RateLimited {
            retry_after: wait.map(Duration::from_millis),
        };
        let told = "the model provider gets too many requests from this server";
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
