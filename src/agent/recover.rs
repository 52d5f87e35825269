//! Taking up runs whose server is gone, from what their logs tell.

use std::sync::Arc;

use crate::domain::{
    Agent, EventBody, FinishReason, OnRestart, Principal, Run, RunEnd, RunError, RunErrorCode,
    RunEvent, RunStatus, Usage,
};
use crate::store::StoreError;

use super::Runner;
use super::answer::Answer;
use super::ending::Ending;
use super::execute::{Begin, Execution};

impl Runner {
    /// Goes on with a run whose server is gone, or ends it, as the settings say. The run is
    /// this node's by now.
    pub(super) async fn take_up(
        self: &Arc<Self>,
        who: Principal,
        run: Run,
    ) -> Result<(), StoreError> {
        // Ours and live only if this very process was too slow to renew its lease.
        if self.bus.get(run.id).is_some() {
            return Ok(());
        }
        let log = self.log_of(&who, run.id).await?;
        let input = self
            .store
            .messages_by_id(&who, &[run.input_message_id])
            .await?
            .pop()
            .ok_or_else(|| StoreError::Internal("the run's message is gone".to_owned()))?;
        let before = self.store.branch_before(run.id).await?;
        let agent = self.agent_of(&who, &run).await?;
        let (id, checkpoint) = (run.id, Checkpoint::of(run.output_message_id, &log));
        let live = self.bus.open(id, self.limits.tail_events);
        let mut kept = checkpoint.answer.clone();
        kept.restart_step();
        let text = checkpoint.answer.text();
        live.seed(checkpoint.last, text, kept.text().len());
        let begin = checkpoint.begin(&run);
        let mut ending = Ending::new(self, who, run, &input, before, live, checkpoint.answer);
        ending.run.usage = checkpoint.usage;
        ending.run.last_sequence = checkpoint.last;
        ending.finish_reason = checkpoint.finish_reason;
        let Some(agent) = agent.filter(|_| self.may_go_on(begin, checkpoint.restarts)) else {
            tracing::warn!(run = %id, "ending a run whose server is gone");
            ending.finish(RunEnd::Failed(interrupted())).await;
            self.bus.close(id);
            return Ok(());
        };
        tracing::warn!(run = %id, ?begin, "going on with a run whose server is gone");
        self.tasks
            .spawn(Execution::new(Arc::new(agent), input, ending).run(begin, None));
        Ok(())
    }

    /// Whether a run is made further. One that has taken servers down with it too often is not.
    fn may_go_on(&self, begin: Begin, restarts: u32) -> bool {
        match begin {
            // Nothing of them was made yet, or nothing is left to be made.
            Begin::Queued | Begin::Enqueued | Begin::Announced | Begin::Answered { .. } => true,
            Begin::Again { .. } | Begin::Tools { .. } => {
                self.limits.on_restart == OnRestart::Resume && restarts < self.limits.restarts
            }
        }
    }

    /// The agent with the version that the run is pinned to.
    async fn agent_of(&self, who: &Principal, run: &Run) -> Result<Option<Agent>, StoreError> {
        let agent = self.store.agents_by_id(who, &[run.agent_id]).await?.pop();
        let versions = &[run.agent_version_id];
        let version = self.store.agent_versions_by_id(who, versions).await?.pop();
        Ok(agent.zip(version).map(|(mut agent, version)| {
            agent.current = version;
            agent
        }))
    }
}

fn interrupted() -> RunError {
    RunError {
        code: RunErrorCode::Interrupted,
        message: "the server stopped while the answer was being made".to_owned(),
        retryable: true,
    }
}

/// What a run's log tells of how far it had got.
struct Checkpoint {
    answer: Answer,
    usage: Usage,
    /// The last sequence.
    last: u64,
    /// The step that began last, with the sequence of its `StepStarted`.
    step: Option<(u32, u64)>,
    /// Why the model stopped in that step, if it has ended.
    finish_reason: Option<FinishReason>,
    /// How often steps were made again.
    restarts: u32,
}

impl Checkpoint {
    fn of(output: crate::domain::MessageId, log: &[RunEvent]) -> Self {
        let mut checkpoint = Self {
            answer: Answer::new(output),
            usage: Usage::default(),
            last: 0,
            step: None,
            finish_reason: None,
            restarts: 0,
        };
        for event in log {
            checkpoint.apply(event);
        }
        checkpoint
    }

    fn apply(&mut self, event: &RunEvent) {
        self.answer.apply(event);
        self.last = event.sequence;
        match &event.body {
            EventBody::StepStarted { step, .. } => {
                self.step = Some((*step, event.sequence));
                self.finish_reason = None;
            }
            EventBody::StepFinished { finish_reason, .. } => {
                self.finish_reason = Some(*finish_reason);
            }
            EventBody::StepRestarted { .. } => self.restarts += 1,
            EventBody::UsageUpdated { usage } => self.usage = *usage,
            _ => {}
        }
    }

    fn begin(&self, run: &Run) -> Begin {
        match (self.step, self.finish_reason) {
            _ if run.enqueued => Begin::Enqueued,
            _ if run.status == RunStatus::Queued => Begin::Queued,
            (Some((step, _)), Some(FinishReason::ToolCalls)) => Begin::Tools { step },
            (Some((step, _)), Some(_)) => Begin::Answered { step },
            (Some((step, started)), None) => Begin::Again { step, started },
            // Its first event and its state are written together, and a step begins with it.
            (None, _) => Begin::Announced,
        }
    }
}
