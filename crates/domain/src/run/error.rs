//! Why a run failed.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// What kind of thing made a run fail.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RunErrorCode {
    /// The provider could not be reached, or answered with a server error.
    ProviderUnavailable,
    /// The provider refused the server's credentials.
    ProviderAuth,
    /// The provider says that it gets too many requests.
    ProviderRateLimited,
    /// The provider's account has no credit or quota left.
    ProviderQuotaExhausted,
    /// The provider refused the request itself (unknown model, bad parameter).
    ProviderRejected,
    /// The provider's stream made no sense or ended half-way.
    ProviderProtocol,
    /// No connection to the provider within the limit.
    ConnectTimeout,
    /// No first token within the limit.
    FirstTokenTimeout,
    /// No next token within the limit.
    IdleTimeout,
    /// One call of the model took too long as a whole.
    CallTimeout,
    /// One model call took too long.
    StepTimeout,
    /// The whole run took too long.
    RunTimeout,
    /// The model takes no tools, and its agent has some.
    ToolsUnsupported,
    /// The conversation does not fit the model's context.
    ContextExceeded,
    /// The answer grew past the server's limit.
    AnswerTooLong,
    /// The model wanted more steps than a run may have.
    TooManySteps,
    /// The run has cost as much as its agent allows, and is not done.
    CostLimit,
    /// The model gave a tool wrong arguments again and again, or called tools in a way that no
    /// server could carry out: too many at once, or with endless names or arguments.
    ToolArguments,
    /// The answer was not of the form that was asked for, however often the model was told.
    OutputInvalid,
    /// The model was done without an answer, or with reasoning alone, however often it was asked.
    EmptyAnswer,
    /// The model has no free place; try again.
    ModelBusy,
    /// The server stopped while the run was being made.
    Interrupted,
    /// The server died each time it executed the run, the last time while it executed it alone.
    Crashed,
    /// The database was away for longer than a run may wait for it.
    StoreUnavailable,
    /// A fault of the server; the log has it under the run's id.
    Internal,
}

/// Why a run failed, in words that may be shown to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The kind.
    pub code: RunErrorCode,
    /// One sentence; never a provider's own words.
    pub message: String,
    /// Whether the same message sent again may succeed.
    pub retryable: bool,
}
