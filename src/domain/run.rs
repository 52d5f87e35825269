//! Runs: one answer being made, and the states it goes through.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

use super::client_tool::ClientTool;
use super::cost::Cost;
use super::event::EventBody;
use super::ids::{AgentId, AgentVersionId, MessageId, RunId, SessionId};
use super::interrupt::Interrupt;
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
    /// Waits for a person or the client; see its interrupts.
    AwaitingInput,
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
            Self::Running => next.is_terminal() || next == Self::AwaitingInput,
            Self::AwaitingInput => next.is_terminal() || next == Self::Running,
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
    /// Waits until those before it have ended, and then answers what the branch is by then.
    Enqueue,
    /// Stops it, with its partial answer kept.
    Interrupt,
    /// Stops it, and takes its message and partial answer out of the branch.
    Rollback,
}

/// What becomes of a model step that was under way when its server died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRestart {
    /// It is made again.
    Resume,
    /// The run fails, with its partial text kept.
    Fail,
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
    /// The run failed; the text is what was there by then. Of a step: it came to nothing, and
    /// the run went on without it.
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
    /// One model call took too long.
    StepTimeout,
    /// The whole run took too long.
    RunTimeout,
    /// The conversation does not fit the model's context.
    ContextExceeded,
    /// The answer grew past the server's limit.
    AnswerTooLong,
    /// The model wanted more steps than a run may have.
    TooManySteps,
    /// The run has cost as much as its agent allows, and is not done.
    CostLimit,
    /// The model gave a tool wrong arguments again and again.
    ToolArguments,
    /// The answer was not of the form that was asked for, however often the model was told.
    OutputInvalid,
    /// The model has no free place; try again.
    ModelBusy,
    /// The server stopped while the run was being made.
    Interrupted,
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

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(more.input_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
            cached_input_tokens: self
                .cached_input_tokens
                .saturating_add(more.cached_input_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(more.reasoning_tokens),
        }
    }
}

/// What a client asks of one run beyond its agent's configuration. Kept with the run, so that
/// whichever server goes on with it asks the same of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// What the agent's instructions can use as `variables.x`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// The client's own tools, told to the model beside the agent's.
    pub client_tools: Vec<ClientTool>,
    /// The JSON Schema of the answer; the agent's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Whether its model calls tools.
    #[serde(skip_serializing_if = "ToolChoice::is_auto")]
    pub tool_choice: ToolChoice,
}

/// Whether a model calls tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It does not. The tools are still told, as the history may have calls of them.
    None,
    /// It calls at least one.
    Required,
    /// It calls this one.
    Named(String),
}

impl ToolChoice {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The run that a child run works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentRun {
    /// The run that asks.
    pub run: RunId,
    /// How many runs are above the child, the one that asks included.
    pub depth: u32,
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
    /// Where it stands. Changed by [`Run::enqueue`], [`Run::begin`],
    /// [`Run::await_input`], [`Run::resume`] and [`Run::end`] alone.
    pub status: RunStatus,
    /// Whether it waits for others of its session, and has no place in its branch yet.
    pub enqueued: bool,
    /// Which of its session's runs it is, counted from 1 in the order in which they had their
    /// turn; none before it has had it.
    pub turn: Option<i32>,
    /// Why it ended, once it has.
    pub finish_reason: Option<FinishReason>,
    /// Why it failed, if it did.
    pub error: Option<RunError>,
    /// What it used.
    pub usage: Usage,
    /// What that cost at the prices of the time; none where a model without a price, or without
    /// usage, took part.
    pub cost: Option<Cost>,
    /// The run that asks, where another agent has asked for this one.
    pub parent: Option<ParentRun>,
    /// What its client has asked of it.
    pub options: RunOptions,
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
    /// When the events of its making were removed from its log, if they were.
    pub log_compacted_at: Option<Timestamp>,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// With an answer.
    Completed(FinishReason),
    /// With an error.
    Failed(RunError),
    /// On request.
    Cancelled,
}

impl RunEnd {
    /// The state that it leads to.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Completed(_) => RunStatus::Completed,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }
}

/// A run cannot go from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from:?} cannot become {to:?}")]
pub struct IllegalTransition {
    /// Where it stands.
    pub from: RunStatus,
    /// Where it was to go.
    pub to: RunStatus,
}

impl Run {
    fn go(&mut self, to: RunStatus) -> Result<(), IllegalTransition> {
        let from = self.status;
        if !from.allows(to) {
            return Err(IllegalTransition { from, to });
        }
        self.status = to;
        Ok(())
    }

    /// A run that was to start has to wait for others of its session first.
    pub fn enqueue(&mut self) {
        (self.status, self.enqueued, self.turn) = (RunStatus::Queued, true, None);
        (self.started_at, self.last_sequence) = (None, 0);
    }

    /// A queued run begins to be made.
    pub fn begin(&mut self, at: Timestamp) -> Result<(), IllegalTransition> {
        self.go(RunStatus::Running)?;
        self.enqueued = false;
        self.started_at = Some(at);
        Ok(())
    }

    /// A run that is being made waits for these. Returns the events that announce them, which
    /// are written with its new state.
    pub fn await_input(
        &mut self,
        interrupts: &[Interrupt],
    ) -> Result<Vec<EventBody>, IllegalTransition> {
        self.go(RunStatus::AwaitingInput)?;
        let requested = |interrupt: &Interrupt| EventBody::InterruptRequested {
            interrupt: Box::new(interrupt.clone()),
        };
        Ok(interrupts.iter().map(requested).collect())
    }

    /// A run whose interrupts are all answered is made further.
    pub fn resume(&mut self) -> Result<(), IllegalTransition> {
        match self.status {
            RunStatus::AwaitingInput => self.go(RunStatus::Running),
            from => Err(IllegalTransition {
                from,
                to: RunStatus::Running,
            }),
        }
    }

    /// Ends the run. Returns the event that announces it, which is written with it.
    pub fn end(&mut self, end: RunEnd, at: Timestamp) -> Result<EventBody, IllegalTransition> {
        self.go(end.status())?;
        self.finished_at = Some(at);
        let (reason, error, event) = match end {
            RunEnd::Completed(finish_reason) => {
                let event = EventBody::RunCompleted { finish_reason };
                (finish_reason, None, event)
            }
            RunEnd::Failed(error) => {
                let event = EventBody::RunFailed {
                    error: error.clone(),
                };
                (FinishReason::Error, Some(error), event)
            }
            RunEnd::Cancelled => (FinishReason::Cancelled, None, EventBody::RunCancelled),
        };
        (self.finish_reason, self.error) = (Some(reason), error);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::RunStatus::{AwaitingInput, Cancelled, Completed, Failed, Queued, Running};

    #[test]
    fn terminal_states_are_final_and_nothing_goes_back() {
        for from in [Completed, Failed, Cancelled] {
            for to in [Queued, Running, AwaitingInput, Completed, Failed, Cancelled] {
                assert!(!from.allows(to), "{from:?} -> {to:?}");
            }
        }
        assert!(Queued.allows(Running) && !Queued.allows(Completed));
        assert!(Running.allows(Completed) && !Running.allows(Queued));
        assert!(Running.allows(AwaitingInput) && AwaitingInput.allows(Running));
        assert!(!Queued.allows(AwaitingInput) && !AwaitingInput.allows(Queued));
    }
}
