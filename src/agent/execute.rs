//! Making a run: the model's stream becomes events, the events an answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use tracing::Instrument;

use crate::bus::LiveRun;
use crate::domain::time::now;
use crate::domain::{
    Agent, EventBody, FinishReason, Message, Principal, RunError, RunErrorCode, RunStatus,
};
use crate::llm::{LlmError, StreamPart};
use crate::store::{BranchRange, StartedRun, StoreError};

use super::answer::Answer;
use super::ending::Ending;
use super::log::RunLog;
use super::start::Place;
use super::{Runner, prompt};

/// How many parts of the model's stream are taken at once when they are there already.
const READY_PARTS: usize = 256;

/// The single model call of a run.
const STEP: u32 = 1;

/// One run being made.
pub(super) struct Execution {
    agent: Arc<Agent>,
    input: Message,
    ending: Ending,
}

/// Why the making stopped before the model was done.
enum Stop {
    Cancelled,
    Failed(RunError),
}

impl From<LlmError> for Stop {
    fn from(error: LlmError) -> Self {
        Self::Failed((&error).into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the run cannot go on");
        Self::Failed(internal())
    }
}

fn internal() -> RunError {
    RunError {
        code: RunErrorCode::Internal,
        message: "the server had a fault; its log has it under the run's id".to_owned(),
        retryable: true,
    }
}

impl Execution {
    pub(super) fn new(
        runner: Arc<Runner>,
        who: Principal,
        agent: Arc<Agent>,
        stored: &StartedRun,
        live: Arc<LiveRun>,
    ) -> Self {
        let run = stored.run.clone();
        let log = RunLog::new(
            Arc::clone(&runner.store),
            who.clone(),
            Arc::clone(&live),
            run.last_sequence,
        );
        Self {
            agent,
            input: stored.message.clone(),
            ending: Ending {
                runner,
                who,
                live,
                log,
                answer: Answer::new(run.output_message_id),
                input_position: Some(stored.message.position),
                before: Some(stored.before),
                pending: Vec::new(),
                finish_reason: None,
                run,
            },
        }
    }

    /// Makes the run and ends it, whatever happens.
    pub(super) async fn run(mut self, place: Place) {
        let (id, runner) = (self.ending.run.id, Arc::clone(&self.ending.runner));
        let span = tracing::info_span!("run", run = %id, agent = %self.agent.name);
        async {
            let made = AssertUnwindSafe(self.make(place)).catch_unwind().await;
            let stopped = made.unwrap_or_else(|_| {
                tracing::error!("the run panicked");
                Err(Stop::Failed(internal()))
            });
            match stopped {
                Ok(()) => self.ending.finish(RunStatus::Completed, None).await,
                Err(Stop::Cancelled) => self.ending.finish(RunStatus::Cancelled, None).await,
                Err(Stop::Failed(error)) => {
                    tracing::warn!(code = ?error.code, "run failed: {}", error.message);
                    self.ending.finish(RunStatus::Failed, Some(error)).await;
                }
            }
        }
        .instrument(span)
        .await;
        runner.bus.close(id);
    }

    async fn make(&mut self, place: Place) -> Result<(), Stop> {
        let _place = self.begin(place).await?;
        let cancel = self.ending.live.cancel_token().clone();
        let timeout = self.timeout();
        let deadline = Instant::now() + timeout;
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Stop::Cancelled),
            answered = self.answer() => answered,
            () = tokio::time::sleep_until(deadline) => Err(Stop::Failed(RunError {
                code: RunErrorCode::RunTimeout,
                message: format!("the run took longer than {} s", timeout.as_secs()),
                retryable: true,
            })),
        };
        if ended.is_err() && cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        ended
    }

    /// Waits for a place if the run is queued, and then announces that it runs.
    async fn begin(&mut self, place: Place) -> Result<Place, Stop> {
        if matches!(place, Place::Running(_)) {
            return Ok(place);
        }
        let cancel = self.ending.live.cancel_token().clone();
        let places = Arc::clone(&self.ending.runner.places);
        let place = tokio::select! {
            () = cancel.cancelled() => return Err(Stop::Cancelled),
            place = places.acquire_owned() => place.map_err(|_| Stop::Cancelled)?,
        };
        let at = now();
        self.ending.run.status = RunStatus::Running;
        self.ending.run.started_at = Some(at);
        let first = first_events(&self.ending.run.model);
        self.ending.log.append(first, Some(at)).await?;
        Ok(Place::Running(place))
    }

    fn timeout(&self) -> Duration {
        let most = self.ending.runner.limits.timeout;
        let own = self.agent.current.spec.limits.run_timeout_s;
        own.map_or(most, |seconds| most.min(Duration::from_secs(seconds)))
    }

    async fn answer(&mut self) -> Result<(), Stop> {
        let history = self.history().await?;
        let spec = &self.agent.current.spec;
        let instructions = prompt::instructions(&spec.instructions, &self.ending.who, now())
            .map_err(|error| {
                tracing::error!(%error, "the instructions do not render");
                Stop::Failed(internal())
            })?;
        let model = self.ending.run.model.clone();
        let request = prompt::request(spec, &model, instructions, &history);
        let span = tracing::info_span!("step", step = STEP, model);
        self.step(request).instrument(span).await
    }

    /// The branch up to the message that is answered, as much of it as the model is shown.
    async fn history(&self) -> Result<Vec<Message>, Stop> {
        let most = self.ending.runner.limits.history_messages;
        let own = self.agent.current.spec.limits.history_messages;
        let earlier = own.map_or(most, |own| own.min(most));
        let position = self.input.position;
        let from = position.saturating_sub_unsigned(earlier).max(0);
        if from == position {
            return Ok(vec![self.input.clone()]);
        }
        let range = BranchRange {
            head: self.input.id,
            from,
            to: position + 1,
        };
        let runner = &self.ending.runner;
        let branches = runner.store.branches(&self.ending.who, &[range]).await?;
        Ok(branches.into_iter().next().unwrap_or_default())
    }

    async fn step(&mut self, request: crate::llm::ChatRequest) -> Result<(), Stop> {
        let runner = Arc::clone(&self.ending.runner);
        let models = runner.catalog.models_of(&self.agent.current.spec);
        let answering = runner.models.stream(models, request).await?;
        self.ending.run.model = answering.model;
        let mut parts = answering.parts.ready_chunks(READY_PARTS);
        loop {
            let waiting = self.ending.pending.len();
            tokio::select! {
                biased;
                ready = parts.next(), if waiting < READY_PARTS => {
                    let Some(ready) = ready else { break };
                    for part in ready {
                        self.take(part?)?;
                    }
                }
                // One write at a time: what comes while it is committed goes into the next
                // one. Even a model that is faster than the database then costs the run a
                // write for each commit, not for each packet.
                () = self.ending.log.caught_up(), if waiting > 0 => self.flush().await?,
            }
        }
        self.ending.pending.push(EventBody::UsageUpdated {
            usage: self.ending.run.usage,
        });
        self.ending.pending.push(EventBody::StepFinished {
            step: STEP,
            finish_reason: self.ending.finish_reason.unwrap_or(FinishReason::Stop),
        });
        Ok(())
    }

    fn take(&mut self, part: StreamPart) -> Result<(), Stop> {
        let ending = &mut self.ending;
        match part {
            StreamPart::Text(text) => {
                let event = ending.answer.add_text(text);
                ending.pending.push(event);
            }
            StreamPart::Reasoning(text) => {
                let event = ending.answer.add_reasoning(text);
                ending.pending.push(event);
            }
            // No tools are told to the model yet, and reasoning is not sent back.
            StreamPart::ReasoningSignature(_)
            | StreamPart::ToolCallStarted { .. }
            | StreamPart::ToolCallArguments { .. }
            | StreamPart::ToolCallCompleted { .. } => {}
            StreamPart::Usage(usage) => ending.run.usage = usage,
            StreamPart::Finish(reason) => ending.finish_reason = Some(reason),
        }
        let limit = ending.runner.limits.answer_bytes;
        if ending.answer.bytes() > limit {
            return Err(Stop::Failed(RunError {
                code: RunErrorCode::AnswerTooLong,
                message: format!("the answer grew past {limit} bytes"),
                retryable: false,
            }));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut self.ending.pending);
        self.ending.log.append(pending, None).await
    }
}

/// What every run's log begins with.
pub(super) fn first_events(model: &str) -> Vec<EventBody> {
    vec![
        EventBody::RunStarted,
        EventBody::StepStarted {
            step: STEP,
            model: model.to_owned(),
        },
    ]
}
