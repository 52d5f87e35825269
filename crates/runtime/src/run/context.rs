//! The state of one run.

use std::sync::Arc;
use std::time::Duration;

use talkgraph_bus::LiveRun;
use talkgraph_domain::{Agent, EventBody, FinishReason, Interrupt, Message, Principal, Run};
use talkgraph_store::{Rewind, StoreError, Turn};
use talkgraph_tools::CallerHeaders;

use crate::run::child_run_log::ChildRunLog;
use crate::run::event_log::{Change, LogBounds, LogError, RunLog};
use crate::run::message_builder::Answer;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use crate::run::store_retry::patiently;
use crate::spec::limits::Limits;

/// What a run executes: the agent, the message to answer and the caller's headers.
pub(crate) struct Assignment {
    pub(crate) agent: Arc<Agent>,
    pub(crate) input: Message,
    /// The headers of the request that started the run here. Never stored: a run that is resumed
    /// has none.
    pub(crate) headers: CallerHeaders,
}

impl Assignment {
    /// The limits of the run while it has this agent.
    pub(crate) fn limits(&self, ctx: &RunContext) -> Limits {
        Limits::of(&ctx.services.limits, &self.agent.current.spec)
    }
}

/// A run's state on its way to the end.
pub(crate) struct RunContext {
    pub(crate) services: Arc<RunServices>,
    pub(crate) control: Arc<dyn RunControl>,
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
    pub(crate) children: ChildRunLog,
    /// What it has asked a person or the client so far, answered or not.
    pub(crate) asked: Vec<Interrupt>,
    /// How long it was made before it waited for answers; that counts towards its time.
    pub(crate) worked: Duration,
}

impl RunContext {
    /// A run with the answer that its log tells of so far; its message is `input`.
    pub(crate) fn new(
        services: &Arc<RunServices>,
        control: Arc<dyn RunControl>,
        who: Principal,
        run: Run,
        input: &Message,
        live: Arc<LiveRun>,
        answer: Answer,
    ) -> Self {
        let log = RunLog::new(
            Arc::clone(&services.store),
            who.clone(),
            (services.node, run.fence),
            Arc::clone(&live),
            run.last_sequence,
            services.limits.store_outage,
            LogBounds::of(&services.limits),
        );
        Self {
            services: Arc::clone(services),
            control,
            who,
            run,
            live,
            log,
            answer,
            input_position: input.position,
            before: None,
            pending: Vec::new(),
            finish_reason: None,
            summaries: 0,
            handoffs: 0,
            children: ChildRunLog::default(),
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

    /// Queues the pending events for the next write.
    pub(crate) async fn flush(&mut self) -> Result<(), LogError> {
        // Before the events are taken: a run that is cancelled meanwhile still has them.
        self.log.settle().await?;
        let pending = std::mem::take(&mut self.pending);
        self.log.append(pending, Change::None).await
    }

    /// Reads from the store, with retries while it is unavailable.
    pub(crate) async fn read<T, F>(&self, read: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        patiently(self.services.limits.store_outage, read).await
    }
}
