//! Ending a run: exactly one terminal event, written with the answer and the final state.

use std::sync::Arc;
use std::time::Duration;

use crate::bus::{LiveRun, RunOutcome};
use crate::domain::time::now;
use crate::domain::{
    EventBody, FinishReason, Message, Principal, Role, Run, RunError, RunErrorCode, RunStatus,
};
use crate::store::{FinishedRun, Rewind, StoreError};

use super::Runner;
use super::answer::Answer;
use super::log::RunLog;

/// Between tries to write a run's end while the database is away.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A run's state on its way to the end.
pub(super) struct Ending {
    pub(super) runner: Arc<Runner>,
    pub(super) who: Principal,
    pub(super) run: Run,
    pub(super) live: Arc<LiveRun>,
    pub(super) log: RunLog,
    pub(super) answer: Answer,
    /// The place of the message that is answered; looked up when not known.
    pub(super) input_position: Option<i32>,
    /// Where the branch ends if the run is withdrawn: before its own messages.
    pub(super) before: Option<Rewind>,
    /// Events that go into the log together with the end.
    pub(super) pending: Vec<EventBody>,
    pub(super) finish_reason: Option<FinishReason>,
}

impl Ending {
    /// A run that is no longer being made; its answer is what its log tells.
    pub(super) fn recovered(
        runner: &Arc<Runner>,
        who: Principal,
        run: Run,
        live: Arc<LiveRun>,
    ) -> Self {
        Self {
            log: RunLog::new(Arc::clone(&runner.store), who.clone(), Arc::clone(&live), 0),
            answer: Answer::new(run.output_message_id),
            runner: Arc::clone(runner),
            who,
            run,
            live,
            input_position: None,
            before: None,
            pending: Vec::new(),
            finish_reason: None,
        }
    }

    /// Writes the end, however long the database is away, and tells the subscribers. Gives
    /// up only when the server stops or the run is no longer ours.
    pub(super) async fn finish(&mut self, status: RunStatus, error: Option<RunError>) {
        debug_assert!(self.run.status.allows(status));
        self.run.status = status;
        self.run.finish_reason = match status {
            RunStatus::Cancelled => Some(FinishReason::Cancelled),
            RunStatus::Failed => Some(FinishReason::Error),
            _ => self.finish_reason.or(Some(FinishReason::Stop)),
        };
        self.run.error = error;
        let mut mend = self.log.is_broken() || self.input_position.is_none();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_finish(mend).await {
                Ok(()) => return,
                Err(StoreError::Conflict) if mend => {
                    tracing::warn!(run = %self.run.id, "the run is no longer ours to end");
                    return;
                }
                Err(error @ StoreError::Internal(_)) => {
                    tracing::error!(run = %self.run.id, %error, "the run's end was refused");
                    self.give_up_answer();
                }
                Err(error) => {
                    tracing::warn!(run = %self.run.id, %error, "the run's end waits");
                }
            }
            mend = true;
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.runner.abandon.cancelled() => return,
            }
        }
    }

    /// What the database refuses cannot be kept; that the run failed can.
    fn give_up_answer(&mut self) {
        self.answer = Answer::new(self.run.output_message_id);
        self.pending.clear();
        self.run.status = RunStatus::Failed;
        self.run.finish_reason = Some(FinishReason::Error);
        self.run.error = Some(RunError {
            code: RunErrorCode::Internal,
            message: "the answer could not be stored".to_owned(),
            retryable: true,
        });
    }

    async fn try_finish(&mut self, mend: bool) -> Result<(), StoreError> {
        let mut bodies = Vec::new();
        if mend {
            bodies.extend(self.mend().await?);
        }
        bodies.extend(self.pending.iter().cloned());
        self.run.finished_at = Some(now());
        let message = self.message();
        if let Some(message) = &message {
            bodies.push(EventBody::MessageCompleted {
                message_id: message.id,
            });
        }
        bodies.push(self.terminal());
        let events = self.log.number(bodies);
        if let Some(last) = events.last() {
            self.run.last_sequence = last.sequence;
        }
        let rewind = self.rewind();
        let finished = FinishedRun {
            who: self.who.clone(),
            run: self.run.clone(),
            node: self.runner.node,
            message: message.clone(),
            rewind,
            events: events.clone(),
            mends_log: mend,
        };
        self.runner.store.finish_run(finished).await?;
        self.live.set_outcome(RunOutcome {
            run: self.run.clone(),
            message,
            withdrawn: rewind.is_some(),
        });
        self.live.publish(&events);
        Ok(())
    }

    /// Brings the log and the answer together again: what the log lacks is restated as one
    /// event, and for a run taken over the answer is read from the log.
    async fn mend(&mut self) -> Result<Option<EventBody>, StoreError> {
        self.log.resync().await?;
        if self.input_position.is_some() {
            // Everything up to here is either committed or restated, `pending` excepted.
            self.pending.retain(|body| {
                !matches!(
                    body,
                    EventBody::TextDelta { .. } | EventBody::ReasoningDelta { .. }
                )
            });
            return Ok(self.answer.text_after(self.live.text_len()));
        }
        let store = &self.runner.store;
        let input = store
            .messages_by_id(&self.who, &[self.run.input_message_id])
            .await?
            .pop();
        self.answer = Answer::replay(
            self.run.output_message_id,
            self.runner.log_of(&self.who, self.run.id).await?.iter(),
        );
        self.input_position = Some(input.map_or(0, |message| message.position));
        Ok(None)
    }

    fn message(&self) -> Option<Message> {
        if self.answer.is_empty() && self.run.status != RunStatus::Completed {
            return None;
        }
        Some(Message {
            id: self.run.output_message_id,
            session_id: self.run.session_id,
            parent_id: Some(self.run.input_message_id),
            position: self.input_position? + 1,
            role: Role::Assistant,
            run_id: self.run.id,
            parts: self.answer.parts().to_vec(),
            finish_reason: self.run.finish_reason,
            created_at: self.run.finished_at.unwrap_or_else(now),
        })
    }

    /// Where the branch goes back to when the run was stopped to be withdrawn.
    fn rewind(&self) -> Option<Rewind> {
        let withdrawn = self.run.status == RunStatus::Cancelled && self.live.is_withdrawn();
        self.before.filter(|_| withdrawn)
    }

    fn terminal(&self) -> EventBody {
        match (self.run.status, &self.run.error) {
            (RunStatus::Failed, Some(error)) => EventBody::RunFailed {
                error: error.clone(),
            },
            (RunStatus::Cancelled, _) => EventBody::RunCancelled,
            _ => EventBody::RunCompleted {
                finish_reason: self.run.finish_reason.unwrap_or(FinishReason::Stop),
            },
        }
    }
}
