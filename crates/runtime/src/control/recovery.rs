//! Recovery of runs whose server is gone, from their logs.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{
    Agent, Cost, EventBody, FinishReason, Interrupt, Message, OnRestart, Principal, Run, RunEnd,
    RunError, RunErrorCode, RunEvent, RunId, RunStatus, StepPurpose, Usage,
};
use talkgraph_store::StoreError;

use crate::control::lifecycle::{LAST_WRITES, Lifecycle};
use crate::run::child_run_log::ChildRunLog;
use crate::run::context::RunContext;
use crate::run::event_log::LOG_PAGE;
use crate::run::executor::Execution;
use crate::run::finish::finish;
use crate::run::interrupts::call_interrupts;
use crate::run::message_builder::MessageBuilder;
use crate::run::resume_point::ResumePoint;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use crate::run::span;

/// Resumes runs from their logs, or ends them.
pub(crate) struct Recovery {
    pub(crate) services: Arc<RunServices>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// Passed to each run; weak, as the services behind it use this one.
    pub(crate) control: Weak<dyn RunControl>,
    /// Set while there may be runs of this node that no task executes.
    pub(crate) has_orphans: AtomicBool,
}

impl Recovery {
    /// The services that a run calls back, unless they are gone.
    fn control(&self) -> Result<Arc<dyn RunControl>, StoreError> {
        let gone = || StoreError::Internal("the server has stopped".to_owned());
        self.control.upgrade().ok_or_else(gone)
    }

    /// Takes up a run that has just come to this node. If it is live here all the same, it was
    /// this node's before, and the task that still executes it under its earlier fence ends first.
    pub(crate) async fn take_over(&self, who: Principal, run: Run) -> Result<(), StoreError> {
        self.end_earlier(run.id).await?;
        self.take_up(who, run).await
    }

    /// Fails a run that has crashed servers, and keeps its partial answer.
    pub(crate) async fn fail_crashed(&self, who: Principal, run: Run) -> Result<(), StoreError> {
        let id = run.id;
        self.end_earlier(id).await?;
        let _turn = self.services.suspension_locks.take(id).await;
        let mut reopened = self.reopen(who, run).await?;
        tracing::error!(run = %id, "a run is failed that servers have died of");
        finish(&mut reopened.ctx, RunEnd::Failed(crashed())).await;
        self.services.bus.close(id);
        Ok(())
    }

    async fn end_earlier(&self, run: RunId) -> Result<(), StoreError> {
        let Some(earlier) = self.services.bus.get(run) else {
            return Ok(());
        };
        earlier.release_token().cancel();
        let ended = tokio::time::timeout(LAST_WRITES, earlier.finished()).await;
        ended.map(drop).map_err(|_| StoreError::Conflict)
    }

    /// Resumes a run whose server is gone, or ends it, as the settings say. The run is
    /// this node's by now.
    pub(crate) async fn take_up(&self, who: Principal, run: Run) -> Result<(), StoreError> {
        let _turn = self.services.suspension_locks.take(run.id).await;
        if self.services.bus.get(run.id).is_some() {
            return Ok(());
        }
        let id = run.id;
        let mut reopened = self.reopen(who, run).await?;
        let begin = reopened.begin();
        if reopened.agent.is_none() || !self.may_go_on(begin, reopened.restarts) {
            tracing::warn!(parent: reopened.ctx.live.span(), "ending a run whose server is gone");
            finish(&mut reopened.ctx, RunEnd::Failed(interrupted())).await;
            self.services.bus.close(id);
            return Ok(());
        }
        tracing::warn!(parent: reopened.ctx.live.span(), ?begin, "going on with a run whose server is gone");
        reopened.ctx.time_used = Duration::ZERO;
        self.execute(reopened, begin);
        Ok(())
    }

    /// Restores a run from its log and makes it live.
    pub(crate) async fn reopen(&self, who: Principal, run: Run) -> Result<Reopened, StoreError> {
        let control = self.control()?;
        let log = self.log_of(&who, run.id).await?;
        let input = self
            .services
            .store
            .messages_by_id(&who, &[run.input_message_id])
            .await?
            .pop()
            .ok_or_else(|| StoreError::Internal("the run's message is gone".to_owned()))?;
        let before = self.services.store.branch_before(run.id).await?;
        let agent = self.agent_of(&who, &run).await?;
        let (id, checkpoint) = (run.id, Checkpoint::of(run.output_message_id, &log));
        let parent = run.parent.map(|parent| parent.run);
        let span = span::of_run(&run, agent.as_ref().map(|agent| &*agent.name));
        let live = self
            .services
            .bus
            .open(id, parent, self.services.limits.tail_events, span);
        let mut kept = checkpoint.answer.clone();
        kept.restart_step();
        let text = checkpoint.answer.text();
        live.seed(checkpoint.last, text, kept.text().len());
        let mut ctx = RunContext::new(
            &self.services,
            control,
            who,
            run,
            &input,
            live,
            checkpoint.answer,
        );
        ctx.rewind = before;
        ctx.log.count_bytes(log.iter().map(|event| &event.body));
        ctx.run.usage = checkpoint.usage;
        ctx.run.cost = checkpoint.cost;
        ctx.run.last_sequence = checkpoint.last;
        ctx.finish_reason = checkpoint.finish_reason;
        ctx.summary_steps = checkpoint.summaries;
        ctx.handoffs = checkpoint.handoffs;
        ctx.child_runs = checkpoint.children;
        ctx.interrupts = checkpoint.asked;
        ctx.time_used = checkpoint.worked;
        Ok(Reopened {
            agent,
            input,
            ctx,
            step: checkpoint.step,
            purpose: checkpoint.purpose,
            restarts: checkpoint.restarts,
        })
    }

    /// The whole log of a run.
    async fn log_of(&self, who: &Principal, run: RunId) -> Result<Vec<RunEvent>, StoreError> {
        let mut log: Vec<RunEvent> = Vec::new();
        loop {
            let after = log.last().map_or(0, |event| event.sequence);
            let more = self
                .services
                .store
                .events(who, run, after, LOG_PAGE)
                .await?;
            if more.is_empty() {
                return Ok(log);
            }
            log.extend(more);
        }
    }

    /// Executes a run from its resume point. One whose agent is gone fails.
    pub(crate) fn execute(&self, reopened: Reopened, begin: ResumePoint) {
        let Reopened {
            agent,
            input,
            mut ctx,
            ..
        } = reopened;
        match agent {
            Some(agent) => {
                let execution = Execution::new(Arc::new(agent), input, ctx);
                self.lifecycle.tasks.spawn(execution.watched(begin, None));
            }
            None => {
                let bus = Arc::clone(&self.services.bus);
                self.lifecycle.tasks.spawn(async move {
                    finish(&mut ctx, RunEnd::Failed(interrupted())).await;
                    bus.close(ctx.run.id);
                });
            }
        }
    }

    /// True unless the settings forbid it or the run was restarted too often.
    fn may_go_on(&self, begin: ResumePoint, restarts: u32) -> bool {
        match begin {
            // No step of them has begun, or none is left.
            ResumePoint::Queued
            | ResumePoint::Enqueued
            | ResumePoint::Announced
            | ResumePoint::Summarised { .. }
            | ResumePoint::Resumed { .. }
            | ResumePoint::Answered { .. } => true,
            ResumePoint::Again { .. } | ResumePoint::Tools { .. } => {
                self.services.limits.on_restart == OnRestart::Resume
                    && restarts < self.services.limits.restarts
            }
        }
    }

    /// The agent with the version that the run is pinned to: the one that it was handed to last.
    async fn agent_of(&self, who: &Principal, run: &Run) -> Result<Option<Agent>, StoreError> {
        let agent = self
            .services
            .store
            .agents_by_id(who, &[run.agent_id])
            .await?
            .pop();
        let versions = &[run.agent_version_id];
        let version = self
            .services
            .store
            .agent_versions_by_id(who, versions)
            .await?
            .pop();
        Ok(agent.zip(version).map(|(mut agent, version)| {
            agent.current = version;
            agent
        }))
    }
}

fn crashed() -> RunError {
    RunError {
        code: RunErrorCode::Crashed,
        message: "the server died each time that it made this run".to_owned(),
        retryable: false,
    }
}

fn interrupted() -> RunError {
    RunError {
        code: RunErrorCode::Interrupted,
        message: "the server stopped while the answer was being made".to_owned(),
        retryable: true,
    }
}

/// A run that is live again, restored from its log.
pub(crate) struct Reopened {
    /// The agent with the run's version, unless it is gone.
    agent: Option<Agent>,
    input: Message,
    pub(crate) ctx: RunContext,
    /// The step that began last, with the sequence of its `StepStarted`.
    step: Option<(u32, u64)>,
    /// The purpose of that step.
    purpose: StepPurpose,
    /// The number of restarted steps.
    restarts: u32,
}

impl Reopened {
    /// The point at which execution resumes after a server has died.
    pub(crate) fn begin(&self) -> ResumePoint {
        let run = &self.ctx.run;
        match (self.step, self.ctx.finish_reason) {
            _ if run.enqueued => ResumePoint::Enqueued,
            _ if run.status == RunStatus::Queued => ResumePoint::Queued,
            (Some((step, _)), Some(_)) if self.purpose == StepPurpose::Summary => {
                ResumePoint::Summarised { step }
            }
            (Some((step, _)), Some(FinishReason::ToolCalls)) => ResumePoint::Tools { step },
            (Some((step, _)), Some(_)) => ResumePoint::Answered { step },
            (Some((step, started)), None) => ResumePoint::Again {
                step,
                started,
                purpose: self.purpose,
            },
            // It may be about to begin with a summary.
            (None, _) => ResumePoint::Announced,
        }
    }
}

/// The progress of a run according to its log.
struct Checkpoint {
    answer: MessageBuilder,
    usage: Usage,
    cost: Option<Cost>,
    /// The last sequence.
    last: u64,
    /// The step that began last, with the sequence of its `StepStarted`.
    step: Option<(u32, u64)>,
    /// The purpose of that step.
    purpose: StepPurpose,
    /// The number of steps for summaries.
    summaries: u32,
    /// The model's reason for ending that step, if it has ended.
    finish_reason: Option<FinishReason>,
    /// The number of restarted steps.
    restarts: u32,
    /// The number of hand-offs to other agents.
    handoffs: u32,
    /// Its child runs.
    children: ChildRunLog,
    /// Its interrupts.
    asked: Vec<Interrupt>,
    /// The time of execution until its last suspension, and the start of the time since.
    worked: Duration,
    works_since: Option<Timestamp>,
}

impl Checkpoint {
    fn of(output: talkgraph_domain::MessageId, log: &[RunEvent]) -> Self {
        let mut checkpoint = Self {
            answer: MessageBuilder::new(output),
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
            last: 0,
            step: None,
            purpose: StepPurpose::Answer,
            summaries: 0,
            finish_reason: None,
            restarts: 0,
            handoffs: 0,
            children: ChildRunLog::default(),
            asked: Vec::new(),
            worked: Duration::ZERO,
            works_since: None,
        };
        for event in log {
            checkpoint.apply(event);
        }
        checkpoint
    }

    fn apply(&mut self, event: &RunEvent) {
        self.answer.apply(event);
        self.last = event.sequence;
        call_interrupts::apply_event(&mut self.asked, &event.body);
        self.children.apply(&event.body);
        self.clock(event);
        match &event.body {
            EventBody::StepStarted { step, purpose, .. } => {
                self.step = Some((*step, event.sequence));
                self.purpose = *purpose;
                self.summaries += u32::from(*purpose == StepPurpose::Summary);
                self.finish_reason = None;
            }
            EventBody::StepFinished { finish_reason, .. } => {
                self.finish_reason = Some(*finish_reason);
            }
            EventBody::StepRestarted { .. } => self.restarts += 1,
            EventBody::HandedOff { .. } => self.handoffs += 1,
            EventBody::UsageUpdated { usage, cost } => {
                (self.usage, self.cost) = (*usage, *cost);
            }
            _ => {}
        }
    }

    /// Counts the time of execution, without suspensions.
    fn clock(&mut self, event: &RunEvent) {
        match event.body {
            EventBody::RunStarted | EventBody::InterruptResolved { .. } => {
                self.works_since = Some(event.at);
            }
            // A run that is taken over has its whole time again.
            EventBody::StepRestarted { .. } => {
                (self.worked, self.works_since) = (Duration::ZERO, Some(event.at));
            }
            EventBody::InterruptRequested { .. } => {
                let since = self.works_since.take();
                let worked = since.and_then(|since| (event.at - since).to_std().ok());
                self.worked += worked.unwrap_or_default();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use talkgraph_domain::time::now;
    use talkgraph_domain::{InterruptId, InterruptKind, MessageId, Resolution, RunId};
    use talkgraph_domain::{SessionId, ToolCallId};

    /// The time used by a run with these events at these seconds.
    fn worked(events: &[(i64, EventBody)]) -> u64 {
        let (begun, run_id) = (now(), RunId::new());
        let events = events.iter().zip(1..);
        let log: Vec<_> = events
            .map(|((second, body), sequence)| RunEvent {
                run_id,
                sequence,
                first_sequence: sequence,
                at: begun + TimeDelta::seconds(*second),
                body: body.clone(),
            })
            .collect();
        Checkpoint::of(MessageId::new(), &log).worked.as_secs()
    }

    #[test]
    fn the_time_that_a_run_waits_does_not_count() {
        let mut interrupt = Interrupt {
            id: InterruptId::new(),
            kind: InterruptKind::ToolApproval,
            run_id: RunId::new(),
            session_id: SessionId::new(),
            tool_call_id: ToolCallId::new(),
            tool: "telephone".into(),
            arguments: json!({}),
            created_at: now(),
            expires_at: now(),
            resolution: None,
            question: None,
        };
        let requested = EventBody::InterruptRequested {
            interrupt: Box::new(interrupt.clone()),
        };
        interrupt.resolve(Resolution::Expired, now()).unwrap();
        let resolved = EventBody::InterruptResolved {
            interrupt: Box::new(interrupt),
        };
        let restarted = EventBody::StepRestarted {
            step: 1,
            discard_after: 1,
        };
        let begun = (0, EventBody::RunStarted);
        let first = [
            begun.clone(),
            (10, requested.clone()),
            (10, requested.clone()),
            (1_000, resolved.clone()),
            (2_000, resolved.clone()),
        ];
        assert_eq!(worked(&first), 10);
        let second = [&first[..], &[(2_005, requested.clone()), (3_000, resolved)]].concat();
        assert_eq!(worked(&second), 15);
        // A run that is taken over has its whole time again.
        let again = [begun, (500, restarted), (507, requested)];
        assert_eq!(worked(&again), 7);
    }
}
