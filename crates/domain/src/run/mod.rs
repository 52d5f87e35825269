//! Runs: the execution of one answer, and its states.

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

/// The treatment of a model step that was active when its server died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRestart {
    /// The step is repeated.
    Resume,
    /// The run fails, with its partial text kept.
    Fail,
}

/// The parent of a child run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentRun {
    /// The run that started the child.
    pub run: RunId,
    /// The number of runs above the child, the parent included.
    pub depth: u32,
}

/// The execution of one answer.
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
    /// The model, as `provider/model`.
    pub model: String,
    /// Its state. Changed by [`Run::enqueue`], [`Run::begin`], [`Run::await_input`],
    /// [`Run::resume`] and [`Run::end`] alone.
    pub status: RunStatus,
    /// True while it waits for other runs of its session, and has no position in its branch yet.
    pub enqueued: bool,
    /// Its number among the started runs of its session, from 1; none before it has started.
    pub turn: Option<i32>,
    /// The reason why it ended, once it has.
    pub finish_reason: Option<FinishReason>,
    /// The error, if it failed.
    pub error: Option<RunError>,
    /// The tokens it used.
    pub usage: Usage,
    /// The cost at the prices of the time; none if a model without a price, or without usage, took
    /// part.
    pub cost: Option<Cost>,
    /// The parent run, if another agent started this one.
    pub parent: Option<ParentRun>,
    /// The options of its client.
    pub options: RunOptions,
    /// The message it answers.
    pub input_message_id: MessageId,
    /// The message it writes; exists in the session once the run has ended with text.
    pub output_message_id: MessageId,
    /// The last sequence in its event log.
    pub last_sequence: u64,
    /// Time at which it was accepted.
    pub created_at: Timestamp,
    /// Time at which it started to execute.
    pub started_at: Option<Timestamp>,
    /// Time at which it ended.
    pub finished_at: Option<Timestamp>,
    /// Time at which its intermediate events were removed from its log, if they were.
    pub log_compacted_at: Option<Timestamp>,
    /// The number of times it has moved between nodes. A node that writes to it with an earlier
    /// number no longer owns it.
    pub fence: i64,
}

impl Run {
    fn transition(&mut self, to: RunStatus) -> Result<(), IllegalTransition> {
        let from = self.status;
        if !from.allows(to) {
            return Err(IllegalTransition { from, to });
        }
        self.status = to;
        Ok(())
    }

    /// Enqueues a new run behind others of its session.
    pub fn enqueue(&mut self) {
        (self.status, self.enqueued, self.turn) = (RunStatus::Queued, true, None);
        (self.started_at, self.last_sequence) = (None, 0);
    }

    /// Starts a queued run.
    pub fn begin(&mut self, at: Timestamp) -> Result<(), IllegalTransition> {
        self.transition(RunStatus::Running)?;
        self.enqueued = false;
        self.started_at = Some(at);
        Ok(())
    }

    /// Makes a running run wait for these interrupts. Returns the events that announce them, which
    /// are written with its new state.
    pub fn await_input(
        &mut self,
        interrupts: &[Interrupt],
    ) -> Result<Vec<EventBody>, IllegalTransition> {
        self.transition(RunStatus::AwaitingInput)?;
        let requested = |interrupt: &Interrupt| EventBody::InterruptRequested {
            interrupt: Box::new(interrupt.clone()),
        };
        Ok(interrupts.iter().map(requested).collect())
    }

    /// Continues a run whose interrupts are all resolved.
    pub fn resume(&mut self) -> Result<(), IllegalTransition> {
        match self.status {
            RunStatus::AwaitingInput => self.transition(RunStatus::Running),
            from => Err(IllegalTransition {
                from,
                to: RunStatus::Running,
            }),
        }
    }

    /// Ends the run. Returns the terminal event, which is written with the new state.
    pub fn end(&mut self, end: RunEnd, at: Timestamp) -> Result<EventBody, IllegalTransition> {
        self.transition(end.status())?;
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
