//! Making a run: the model's stream becomes events, the events an answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Instrument;

use talkgraph_domain::time::now;
use talkgraph_domain::{
    Agent, EventBody, FinishReason, Message, RunEnd, RunError, RunErrorCode, StepPurpose,
};
use talkgraph_llm::LlmError;
use talkgraph_store::{StoreError, TurnRequest};
use talkgraph_tools::CallerHeaders;
use talkgraph_watchdog::{Task, watched};

use crate::run::context::Ending;
use crate::run::event_log::POLL;
use crate::run::event_log::{Change, LogError};
use crate::run::interrupts::call_interrupts::Question;
use crate::run::slot::RunSlot;
use crate::run::step::Next;
use crate::run::store_retry::patiently;
use crate::spec::limits::Limits;

/// The first model call of a run.
const FIRST_STEP: u32 = 1;

/// One run being made.
pub(crate) struct Execution {
    pub(crate) agent: Arc<Agent>,
    pub(crate) input: Message,
    pub(crate) ending: Ending,
    /// Of whoever has started the run here. Never stored: a run that is taken up has none.
    pub(crate) headers: CallerHeaders,
}

/// Where the making of a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Its first events are written.
    Announced,
    /// It waits for a place among those that are made.
    Queued,
    /// It waits for the other runs of its session first.
    Enqueued,
    /// The step that was under way when its server died is made again.
    Again {
        /// That step.
        step: u32,
        /// The sequence of its `StepStarted`.
        started: u64,
        /// What it is for.
        purpose: StepPurpose,
    },
    /// The step has ended and its tools were being called.
    Tools {
        /// That step.
        step: u32,
    },
    /// There is a summary, or there will be none; the answer is to be begun.
    Summarised {
        /// The step that was for it.
        step: u32,
    },
    /// The answer is whole; only the end is missing, or its check.
    Answered {
        /// The step that made it.
        step: u32,
    },
    /// All that the step has asked a person or the client is answered.
    Resumed {
        /// That step.
        step: u32,
    },
}

/// Why the making stopped before the model was done.
pub(crate) enum Stop {
    Cancelled,
    Failed(RunError),
    /// Somebody has to be asked first.
    AwaitsInput(Vec<Question>),
    /// This server stops; the next one goes on with the run.
    Released,
    /// Another server has the run.
    Lost,
}

impl From<LlmError> for Stop {
    fn from(error: LlmError) -> Self {
        Self::Failed((&error).into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Fenced => return Self::Lost,
            // The log has the outage, and the run's end says that it was one.
            StoreError::Unavailable(_) => return Self::Failed(outage()),
            _ => {}
        }
        tracing::error!(%error, "the run cannot go on");
        Self::Failed(internal())
    }
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        if matches!(error, LogError::Refused(_)) {
            tracing::error!(%error, "the run cannot go on");
        }
        match error {
            LogError::Lost => Self::Lost,
            LogError::Outage(_) => Self::Failed(outage()),
            LogError::Full(message) => Self::Failed(RunError {
                code: RunErrorCode::AnswerTooLong,
                message,
                retryable: false,
            }),
            LogError::Refused(_) => Self::Failed(internal()),
        }
    }
}

pub(crate) fn internal() -> RunError {
    RunError {
        code: RunErrorCode::Internal,
        message: "the server had a fault; its log has it under the run's id".to_owned(),
        retryable: true,
    }
}

fn outage() -> RunError {
    RunError {
        code: RunErrorCode::StoreUnavailable,
        message: "the server's database was away for too long".to_owned(),
        retryable: true,
    }
}

pub(crate) fn too_long(code: RunErrorCode, what: &str, timeout: Duration) -> RunError {
    RunError {
        code,
        message: format!("{what} took longer than {} s", timeout.as_secs()),
        retryable: true,
    }
}

impl Execution {
    pub(crate) fn new(agent: Arc<Agent>, input: Message, ending: Ending) -> Self {
        Self {
            agent,
            input,
            ending,
            headers: CallerHeaders::default(),
        }
    }

    /// With the headers that its tools may pass on.
    pub(crate) fn with_headers(self, headers: CallerHeaders) -> Self {
        Self { headers, ..self }
    }

    /// Makes the run and ends it, in sight of the watchdog.
    pub(crate) fn watched(
        self,
        begin: Begin,
        place: Option<RunSlot>,
    ) -> impl Future<Output = ()> + Send {
        let task = Task::of("a run", &self.ending.run.id.to_string());
        watched(task, self.run(begin, place))
    }

    /// Makes the run and ends it, whatever happens.
    async fn run(mut self, begin: Begin, place: Option<RunSlot>) {
        let (id, runner) = (self.ending.run.id, Arc::clone(&self.ending.runner));
        let span = self.ending.live.span().clone();
        // Kept until the run is no longer live: nobody goes on with it or ends it before.
        let mut turn = None;
        async {
            let made = AssertUnwindSafe(self.make(begin, place))
                .catch_unwind()
                .await;
            let mut stopped = made.unwrap_or_else(|_| {
                tracing::error!("the run panicked");
                Err(Stop::Failed(internal()))
            });
            if let Err(Stop::AwaitsInput(questions)) = stopped {
                turn = Some(runner.awaiting.take(id).await);
                match self.ending.await_input(questions).await {
                    Ok(()) => return,
                    Err(stop) => stopped = Err(stop),
                }
            }
            if matches!(stopped, Err(Stop::Cancelled | Stop::Failed(_))) {
                self.ending.stop_children().await;
            }
            let end = match stopped {
                Ok(()) => {
                    RunEnd::Completed(self.ending.finish_reason.unwrap_or(FinishReason::Stop))
                }
                Err(Stop::Cancelled) => RunEnd::Cancelled,
                // It was told to wait, above.
                Err(Stop::AwaitsInput(_)) => RunEnd::Failed(internal()),
                Err(Stop::Failed(error)) => RunEnd::Failed(error),
                Err(Stop::Released) => return self.ending.checkpoint().await,
                Err(Stop::Lost) => return self.ending.fenced(),
            };
            self.ending.finish(end).await;
        }
        .instrument(span)
        .await;
        runner.bus.close(id);
        drop(turn);
    }

    async fn make(&mut self, begin: Begin, place: Option<RunSlot>) -> Result<(), Stop> {
        let cancel = self.ending.live.cancel_token().clone();
        let release = self.ending.live.release_token().clone();
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Stop::Cancelled),
            () = release.cancelled() => Err(Stop::Released),
            made = self.make_undisturbed(begin, place) => made,
        };
        match ended {
            Err(Stop::Failed(_) | Stop::AwaitsInput(_)) if cancel.is_cancelled() => {
                Err(Stop::Cancelled)
            }
            ended => ended,
        }
    }

    async fn make_undisturbed(&mut self, begin: Begin, place: Option<RunSlot>) -> Result<(), Stop> {
        if begin == Begin::Enqueued {
            self.wait_for_turn().await?;
        }
        let _place = self.take_place(place).await?;
        if matches!(begin, Begin::Queued | Begin::Enqueued) {
            self.announce().await?;
        }
        let next = match begin {
            Begin::Announced | Begin::Queued | Begin::Enqueued => match begins_later(&self.agent) {
                true => Next::Begin,
                false => Next::Step(FIRST_STEP),
            },
            Begin::Again {
                step,
                started,
                purpose,
            } => {
                self.restart(step, started).await?;
                match purpose {
                    StepPurpose::Summary => Next::Summary(step),
                    StepPurpose::Answer | StepPurpose::Repair => Next::Step(step),
                }
            }
            Begin::Summarised { step } => Next::Summarised(step),
            Begin::Tools { step } => Next::ToolsInDoubt(step),
            Begin::Answered { step } => Next::Conclude(step),
            Begin::Resumed { step } => Next::Tools(step),
        };
        let timeout = self.limits().run_timeout;
        let left = timeout.saturating_sub(self.ending.worked);
        let answered = tokio::time::timeout(left, self.answer(next)).await;
        answered.unwrap_or_else(|_| {
            let error = too_long(RunErrorCode::RunTimeout, "the run", timeout);
            Err(Stop::Failed(error))
        })
    }

    async fn take_place(&self, place: Option<RunSlot>) -> Result<RunSlot, Stop> {
        if let Some(place @ (RunSlot::Running(_) | RunSlot::OfParent)) = place {
            return Ok(place);
        }
        if self.ending.run.parent.is_some() {
            return Ok(RunSlot::OfParent);
        }
        // Kept until there is a place among those that are made.
        let _queued = place;
        let places = Arc::clone(&self.ending.runner.places);
        let place = places.acquire_owned().await;
        place.map(RunSlot::Running).map_err(|_| Stop::Cancelled)
    }

    /// Waits until the run is the first of those that wait in its session, and no other is
    /// active there.
    async fn wait_for_turn(&mut self) -> Result<(), Stop> {
        let runner = Arc::clone(&self.ending.runner);
        let session = self.ending.run.session_id;
        let mut news = runner.bus.news().of_session(session);
        let request = TurnRequest {
            session,
            run: self.ending.run.id,
            message: self.input.id,
            node: runner.node,
        };
        loop {
            news.mark_unchanged();
            // One that stops the active run goes first: it has the room until it has started.
            let room = runner.rooms.take(session).await;
            let taken = runner.store.take_turn(request.clone()).await;
            drop(room);
            match taken {
                Ok(turn) => {
                    self.ending.placed(turn);
                    (self.input.parent_id, self.input.position) = (turn.parent, turn.position);
                    runner.bus.news().announce(&self.ending.who, session);
                    return Ok(());
                }
                Err(StoreError::ActiveRun(_) | StoreError::Unavailable(_)) => {}
                Err(StoreError::Conflict | StoreError::NotFound) => return Err(Stop::Lost),
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                _ = news.changed() => {}
                // Another process may have ended the run before this one.
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Says that the run begins.
    async fn announce(&mut self) -> Result<(), Stop> {
        let at = now();
        self.ending.run.begin(at).map_err(|error| {
            tracing::error!(%error, "the run cannot begin");
            Stop::Failed(internal())
        })?;
        let first = first_events(&self.agent, &self.ending.run.model);
        let begins = Change::Begins(at);
        self.ending.log.append(first, begins).await?;
        Ok(())
    }

    /// Says that what the step had written before its server died is gone.
    async fn restart(&mut self, step: u32, started: u64) -> Result<(), Stop> {
        self.ending.answer.restart_step();
        let restarted = EventBody::StepRestarted {
            step,
            discard_after: started,
        };
        self.ending
            .log
            .append(vec![restarted], Change::None)
            .await?;
        Ok(())
    }

    /// What the run may take while it is this agent's.
    pub(crate) fn limits(&self) -> Limits {
        Limits::of(&self.ending.runner.limits, &self.agent.current.spec)
    }

    /// Reads: an outage at the beginning is waited for as one in the middle is.
    pub(crate) async fn read<T, F>(&self, read: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        patiently(self.ending.runner.limits.store_outage, read).await
    }

    pub(crate) async fn flush(&mut self) -> Result<(), LogError> {
        // Before the events are taken: a run that is stopped meanwhile still has them.
        self.ending.log.settle().await?;
        let pending = std::mem::take(&mut self.ending.pending);
        self.ending.log.append(pending, Change::None).await
    }
}

/// Whether it is not known when a run starts what its first step is for.
fn begins_later(agent: &Agent) -> bool {
    agent.current.spec.summary.is_some()
}

/// What every run's log begins with.
pub(crate) fn first_events(agent: &Agent, model: &str) -> Vec<EventBody> {
    let step = EventBody::StepStarted {
        step: FIRST_STEP,
        model: model.to_owned(),
        purpose: StepPurpose::Answer,
    };
    let step = (!begins_later(agent)).then_some(step);
    std::iter::once(EventBody::RunStarted).chain(step).collect()
}
