//! Errors of runs.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// The kind of error that made a run fail.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RunErrorCode {
    /// The provider could not be reached, or responded with a server error.
    ProviderUnavailable,
    /// The provider refused the server's credentials.
    ProviderAuth,
    /// The provider reports too many requests.
    ProviderRateLimited,
    /// The provider's account has no credit or quota left.
    ProviderQuotaExhausted,
    /// The provider rejected the request itself (unknown model, bad parameter).
    ProviderRejected,
    /// The provider's stream was malformed or ended early.
    ProviderProtocol,
    /// The connection to the provider took longer than the limit.
    ConnectTimeout,
    /// The first token took longer than the limit.
    FirstTokenTimeout,
    /// The next token took longer than the limit.
    IdleTimeout,
    /// One call of the model exceeded its total time limit.
    CallTimeout,
    /// One step exceeded its time limit.
    StepTimeout,
    /// The run exceeded its time limit.
    RunTimeout,
    /// The model does not support tools, and its agent has some.
    ToolsUnsupported,
    /// The conversation does not fit the model's context.
    ContextExceeded,
    /// The answer exceeded the server's size limit.
    AnswerTooLong,
    /// The model wanted more steps than a run may have.
    TooManySteps,
    /// The run has reached its agent's cost limit before its answer was complete.
    CostLimit,
    /// The model repeatedly called a tool with invalid arguments, or called tools in a way that no
    /// server could execute: too many at once, or with endless names or arguments.
    ToolArguments,
    /// The answer did not have the requested form, in spite of repeated corrections.
    OutputInvalid,
    /// The model finished without an answer, or with reasoning alone, in spite of repeated
    /// requests.
    EmptyAnswer,
    /// The model has no free capacity; retry later.
    ModelBusy,
    /// The server stopped during the run.
    Interrupted,
    /// The server crashed each time it executed the run, the last time while it executed nothing
    /// else.
    Crashed,
    /// The database was unavailable for longer than a run may wait for it.
    StoreUnavailable,
    /// An internal error of the server; the log has its cause under the run's id.
    Internal,
}

/// The error of a failed run, as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The kind of error.
    pub code: RunErrorCode,
    /// One sentence; never the provider's own message.
    pub message: String,
    /// True if sending the same message again may succeed.
    pub retryable: bool,
}
