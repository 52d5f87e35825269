//! Runs: one answer being made, and the states it goes through.

mod end;
mod error;
mod options;
mod status;
mod usage;

use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::event::EventBody;
use super::ids::{AgentId, AgentVersionId, MessageId, RunId, SessionId};
use super::interrupt::Interrupt;
use super::time::Timestamp;

pub use end::{FinishReason, RunEnd};
pub use error::{RunError, RunErrorCode};
pub use options::{ConcurrencyPolicy, RunOptions, RunOverrides, ToolChoice};
pub use status::{IllegalTransition, RunStatus};
pub use usage::Usage;

/// What becomes of a model step that was under way when its server died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRestart {
    /// It is made again.
    Resume,
    /// The run fails, with its partial text kept.
    Fail,
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
    /// The number of times it has gone from one node to another. A node that writes to it under an
    /// earlier number no longer has it.
    pub fence: i64,
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
