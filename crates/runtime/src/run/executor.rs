//! The execution of one run, from its resume point to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tracing::Instrument;

use talkgraph_domain::{Agent, FinishReason, Message, RunEnd, RunErrorCode, StepPurpose};
use talkgraph_tools::CallerHeaders;
use talkgraph_watchdog::{Task, watched};

use crate::run::abort::{RunAbort, internal, too_long};
use crate::run::admission::{
    FIRST_STEP, acquire_slot, announce, begins_later, restart, wait_for_turn,
};
use crate::run::child_run::cancel_children;
use crate::run::context::{Assignment, RunContext};
use crate::run::finish::{checkpoint, finish, log_takeover};
use crate::run::interrupts::call_interrupts::suspend;
use crate::run::resume_point::ResumePoint;
use crate::run::slot::RunSlot;
use crate::run::step::{NextStep, run_steps};

/// One run in execution.
pub(crate) struct Execution {
    task: Assignment,
    ctx: RunContext,
}

impl Execution {
    pub(crate) fn new(agent: Arc<Agent>, input: Message, ctx: RunContext) -> Self {
        let headers = CallerHeaders::default();
        Self {
            task: Assignment {
                agent,
                input,
                headers,
            },
            ctx,
        }
    }

    /// Adds the headers that tools of the run may pass on.
    pub(crate) fn with_headers(mut self, headers: CallerHeaders) -> Self {
        self.task.headers = headers;
        self
    }

    /// Executes the run and ends it; the watchdog observes the task.
    pub(crate) fn watched(
        self,
        begin: ResumePoint,
        place: Option<RunSlot>,
    ) -> impl Future<Output = ()> + Send {
        let task = Task::of("a run", &self.ctx.run.id.to_string());
        watched(task, self.run(begin, place))
    }

    /// Executes the run and ends it, also after a panic.
    async fn run(mut self, begin: ResumePoint, place: Option<RunSlot>) {
        let (id, services) = (self.ctx.run.id, Arc::clone(&self.ctx.services));
        let span = self.ctx.live.span().clone();
        // Held until the run is no longer live, so that no other task resumes or ends it before.
        let mut turn = None;
        async {
            let made = AssertUnwindSafe(execute(&mut self.ctx, &mut self.task, begin, place))
                .catch_unwind()
                .await;
            let mut stopped = made.unwrap_or_else(|_| {
                tracing::error!("the run panicked");
                Err(RunAbort::Failed(internal()))
            });
            if let Err(RunAbort::AwaitsInput(questions)) = stopped {
                turn = Some(services.suspension_locks.take(id).await);
                match suspend(&mut self.ctx, questions).await {
                    Ok(()) => return,
                    Err(stop) => stopped = Err(stop),
                }
            }
            if matches!(stopped, Err(RunAbort::Cancelled | RunAbort::Failed(_))) {
                cancel_children(&mut self.ctx).await;
            }
            let end = match stopped {
                Ok(()) => RunEnd::Completed(self.ctx.finish_reason.unwrap_or(FinishReason::Stop)),
                Err(RunAbort::Cancelled) => RunEnd::Cancelled,
                // Suspended above.
                Err(RunAbort::AwaitsInput(_)) => RunEnd::Failed(internal()),
                Err(RunAbort::Failed(error)) => RunEnd::Failed(error),
                Err(RunAbort::Released) => return checkpoint(&mut self.ctx).await,
                Err(RunAbort::Lost) => return log_takeover(&self.ctx),
            };
            finish(&mut self.ctx, end).await;
        }
        .instrument(span)
        .await;
        services.bus.close(id);
        drop(turn);
    }
}

async fn execute(
    ctx: &mut RunContext,
    task: &mut Assignment,
    begin: ResumePoint,
    place: Option<RunSlot>,
) -> Result<(), RunAbort> {
    let cancel = ctx.live.cancel_token().clone();
    let release = ctx.live.release_token().clone();
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(RunAbort::Cancelled),
        () = release.cancelled() => Err(RunAbort::Released),
        made = admit_and_execute(ctx, task, begin, place) => made,
    };
    match ended {
        Err(RunAbort::Failed(_) | RunAbort::AwaitsInput(_)) if cancel.is_cancelled() => {
            Err(RunAbort::Cancelled)
        }
        ended => ended,
    }
}

async fn admit_and_execute(
    ctx: &mut RunContext,
    task: &mut Assignment,
    begin: ResumePoint,
    place: Option<RunSlot>,
) -> Result<(), RunAbort> {
    if begin == ResumePoint::Enqueued {
        wait_for_turn(ctx, task).await?;
    }
    let _place = acquire_slot(ctx, place).await?;
    if matches!(begin, ResumePoint::Queued | ResumePoint::Enqueued) {
        announce(ctx, task).await?;
    }
    let next = match begin {
        ResumePoint::Announced | ResumePoint::Queued | ResumePoint::Enqueued => {
            match begins_later(&task.agent) {
                true => NextStep::First,
                false => NextStep::Step(FIRST_STEP),
            }
        }
        ResumePoint::Again {
            step,
            started,
            purpose,
        } => {
            restart(ctx, step, started).await?;
            match purpose {
                StepPurpose::Summary => NextStep::Summary(step),
                StepPurpose::Answer | StepPurpose::Repair => NextStep::Step(step),
            }
        }
        ResumePoint::Summarised { step } => NextStep::Summarised(step),
        ResumePoint::Tools { step } => NextStep::ToolsInDoubt(step),
        ResumePoint::Answered { step } => NextStep::Conclude(step),
        ResumePoint::Resumed { step } => NextStep::Tools(step),
    };
    let timeout = task.limits(ctx).run_timeout;
    let left = timeout.saturating_sub(ctx.time_used);
    let answered = tokio::time::timeout(left, run_steps(ctx, task, next)).await;
    answered.unwrap_or_else(|_| {
        let error = too_long(RunErrorCode::RunTimeout, "the run", timeout);
        Err(RunAbort::Failed(error))
    })
}
