//! Ending a run: exactly one terminal event, written with the answer and the final state.

use std::sync::Arc;
use std::time::Duration;

use talkgraph_bus::{LiveRun, RunOutcome};
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{
    EventBody, FinishReason, Interrupt, Message, Principal, Role, Run, RunEnd, RunError,
    RunErrorCode, RunStatus,
};
use talkgraph_store::{FinishedRun, Rewind, StoreError, Turn};

use crate::run::child_run::Children;
use crate::run::event_log::{Change, LogBounds, RunLog};
use crate::run::message_builder::Answer;
use crate::run::span;
use crate::run::store_retry::Pauses;
use crate::runner::Runner;

/// How long a run that another server shall take up may take to write what it has.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(3);

/// A run's state on its way to the end.
pub(crate) struct Ending {
    pub(crate) runner: Arc<Runner>,
    pub(crate) who: Principal,
    pub(crate) run: Run,
    pub(crate) live: Arc<LiveRun>,
    pub(crate) log: RunLog,
    pub(crate) answer: Answer,
    /// The place of the message that is answered.
    pub(crate) input_position: i32,
    /// What the session goes back to if the run is withdrawn: how it was before.
    pub(crate) before: Option<Rewind>,
    /// Events that go into the log together with the end.
    pub(crate) pending: Vec<EventBody>,
    pub(crate) finish_reason: Option<FinishReason>,
    /// How many of its steps were for summaries.
    pub(crate) summaries: u32,
    /// How often it was handed to another agent.
    pub(crate) handoffs: u32,
    /// The runs that it has asked for.
    pub(crate) children: Children,
    /// What it has asked a person or the client so far, answered or not.
    pub(crate) asked: Vec<Interrupt>,
    /// How long it was made before it waited for answers; that counts towards its time.
    pub(crate) worked: Duration,
}

impl Ending {
    /// A run with the answer that its log tells of so far; its message is `input`.
    pub(crate) fn new(
        runner: &Arc<Runner>,
        who: Principal,
        run: Run,
        input: &Message,
        before: Option<Rewind>,
        live: Arc<LiveRun>,
        answer: Answer,
    ) -> Self {
        let log = RunLog::new(
            Arc::clone(&runner.store),
            who.clone(),
            (runner.node, run.fence),
            Arc::clone(&live),
            run.last_sequence,
            runner.limits.store_outage,
            LogBounds::of(&runner.limits),
        );
        Self {
            runner: Arc::clone(runner),
            who,
            run,
            live,
            log,
            answer,
            input_position: input.position,
            before,
            pending: Vec::new(),
            finish_reason: None,
            summaries: 0,
            handoffs: 0,
            children: Children::default(),
            asked: Vec::new(),
            worked: Duration::ZERO,
        }
    }

    /// The run has got its turn.
    pub(crate) fn placed(&mut self, turn: Turn) {
        self.run.enqueued = false;
        self.input_position = turn.position;
        self.before = Some(Rewind {
            head: turn.parent,
            branch_length: turn.position,
            agent: Some(turn.agent),
        });
    }

    /// Writes the end, however long the database is away, and tells the subscribers. Gives
    /// up only when the server stops or the run is no longer ours.
    pub(crate) async fn finish(&mut self, mut end: RunEnd) {
        let mut mend = self.log.is_broken();
        let mut pauses = Pauses::new();
        loop {
            match self.try_finish(&end, mend).await {
                Ok(()) => return,
                Err(StoreError::Fenced) => return self.fenced(),
                Err(StoreError::Conflict) if mend => {
                    tracing::warn!(parent: self.live.span(), "the run is no longer ours to end");
                    return;
                }
                // Why it is refused is found out before it is tried again.
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Internal(_)) => {
                    tracing::error!(parent: self.live.span(), %error, "the run's end was refused");
                    end = self.give_up_answer();
                }
                Err(error) => {
                    tracing::debug!(parent: self.live.span(), %error, "retrying to store the end of a run");
                }
            }
            mend = true;
            tokio::select! {
                () = pauses.pause() => {}
                () = self.runner.abandon.cancelled() => return,
            }
        }
    }

    /// Another server has the run. Nothing more is written or published here; those who follow
    /// the run go on with what the other server writes.
    pub(crate) fn fenced(&self) {
        tracing::warn!(run = %self.run.id, "another server has the run: it is given up here");
    }

    /// Writes what there is so far, for the server that goes on with the run.
    pub(crate) async fn checkpoint(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let written = async {
            self.log.append(pending, Change::None).await?;
            self.log.settle().await
        };
        match tokio::time::timeout(CHECKPOINT_PATIENCE, written).await {
            Ok(Ok(())) => tracing::info!("the run is left to the next server"),
            // Nobody has seen what is not written.
            Ok(Err(error)) => tracing::warn!(%error, "the run is left without its last events"),
            Err(_) => tracing::warn!("the run is left without its last events"),
        }
    }

    /// What the database refuses cannot be kept; that the run failed can.
    fn give_up_answer(&mut self) -> RunEnd {
        self.answer = Answer::new(self.run.output_message_id);
        self.pending.clear();
        RunEnd::Failed(RunError {
            code: RunErrorCode::Internal,
            message: "the answer could not be stored".to_owned(),
            retryable: true,
        })
    }

    async fn try_finish(&mut self, end: &RunEnd, mend: bool) -> Result<(), StoreError> {
        let mut bodies = Vec::new();
        if mend {
            bodies.extend(self.log.take_lost().await?);
        }
        bodies.extend(self.pending.iter().cloned());
        let (mut run, at) = (self.run.clone(), now());
        let terminal = run.end(end.clone(), at);
        let terminal = terminal.map_err(|error| StoreError::Internal(error.to_string()))?;
        let closed = self.closed(at);
        bodies.extend(closed.iter().map(|interrupt| EventBody::InterruptResolved {
            interrupt: Box::new(interrupt.clone()),
        }));
        let message = self.message(&run, at);
        if let Some(message) = &message {
            bodies.push(EventBody::MessageCompleted {
                message_id: message.id,
            });
        }
        bodies.push(terminal);
        let events = self.log.number(bodies);
        if let Some(last) = events.last() {
            run.last_sequence = last.sequence;
        }
        let rewind = self.rewind(&run);
        let finished = FinishedRun {
            who: self.who.clone(),
            run: run.clone(),
            node: self.runner.node,
            message: message.clone(),
            rewind,
            closed: closed.clone(),
            events: events.clone(),
            mends_log: mend,
        };
        self.runner.store.finish_run(finished).await?;
        self.run = run;
        self.live.set_outcome(RunOutcome {
            run: self.run.clone(),
            message,
            withdrawn: rewind.is_some(),
        });
        self.live.publish(&events);
        span::log_end(self.live.span(), &self.who, &self.run);
        let news = self.runner.bus.news();
        news.announce(&self.who, self.run.session_id);
        news.announce_interrupts(&self.who, &closed);
        Ok(())
    }

    fn message(&self, run: &Run, at: Timestamp) -> Option<Message> {
        if run.enqueued || (self.answer.is_empty() && run.status != RunStatus::Completed) {
            return None;
        }
        Some(Message {
            id: run.output_message_id,
            session_id: run.session_id,
            parent_id: Some(run.input_message_id),
            position: self.input_position + 1,
            role: Role::Assistant,
            run_id: run.id,
            parts: self.answer.parts().to_vec(),
            finish_reason: run.finish_reason,
            created_at: at,
        })
    }

    /// What the session goes back to when the run was stopped to be withdrawn.
    fn rewind(&self, run: &Run) -> Option<Rewind> {
        let withdrawn = run.status == RunStatus::Cancelled && self.live.is_withdrawn();
        let before = self.before.filter(|_| withdrawn && !run.enqueued)?;
        Some(Rewind {
            agent: before.agent.filter(|_| self.handoffs > 0),
            ..before
        })
    }
}
