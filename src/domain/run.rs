//! Runs: one answer being made, and the states it goes through.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::ids::{AgentId, AgentVersionId, MessageId, RunId, SessionId};
use super::time::Timestamp;

/// Where a run stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// Accepted, waiting for a place to run.
    Queued,
    /// Being made.
    Running,
    /// Ended with an answer.
    Completed,
    /// Ended with an error; what was written before it is kept.
    Failed,
    /// Stopped on request; what was written before is kept.
    Cancelled,
}

impl RunStatus {
    /// Whether nothing more can happen.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether a run may go from this state to `next`.
    pub fn allows(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => next.is_terminal(),
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// What a start does when its session has an active run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ConcurrencyPolicy {
    /// Is refused.
    Reject,
    /// Stops it, with its partial answer kept.
    Interrupt,
    /// Stops it, and takes its message and partial answer out of the branch.
    Rollback,
}

/// Why an answer ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The model called tools; of a step, as the run goes on with their results.
    ToolCalls,
    /// A limit on output or context was reached.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// Somebody stopped the run.
    Cancelled,
    /// The run failed; the text is what was there by then.
    Error,
}

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
    /// The whole run took too long.
    RunTimeout,
    /// The conversation does not fit the model's context.
    ContextExceeded,
    /// The answer grew past the server's limit.
    AnswerTooLong,
    /// The model has no free place; try again.
    ModelBusy,
    /// The server stopped while the run was being made.
    Interrupted,
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

/// What a run used, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens the model read, cached ones included.
    pub input_tokens: u64,
    /// Tokens the model wrote, reasoning included.
    pub output_tokens: u64,
    /// Input tokens that came from a cache.
    pub cached_input_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
}

/// One answer being made, or made.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The session it belongs to.
    pub session_id: SessionId,
    /// The agent that answers.
    pub agent_id: AgentId,
    /// The version of the agent it runs with.
    pub agent_version_id: AgentVersionId,
    /// `provider/model` it runs with.
    pub model: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Why it ended, once it has.
    pub finish_reason: Option<FinishReason>,
    /// Why it failed, if it did.
    pub error: Option<RunError>,
    /// What it used.
    pub usage: Usage,
    /// The message it answers.
    pub input_message_id: MessageId,
    /// The message it makes; exists in the session once the run has ended with text.
    pub output_message_id: MessageId,
    /// The last sequence in its event log.
    pub last_sequence: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::RunStatus::{Cancelled, Completed, Failed, Queued, Running};

    #[test]
    fn terminal_states_are_final_and_nothing_goes_back() {
        for from in [Completed, Failed, Cancelled] {
            for to in [Queued, Running, Completed, Failed, Cancelled] {
                assert!(!from.allows(to), "{from:?} -> {to:?}");
            }
        }
        assert!(Queued.allows(Running) && !Queued.allows(Completed));
        assert!(Running.allows(Completed) && !Running.allows(Queued));
    }
}
