//! The state of one run.

use std::sync::Arc;
use std::time::Duration;

use talkgraph_bus::LiveRun;
use talkgraph_domain::{Agent, EventBody, FinishReason, Interrupt, Message, Principal, Run};
use talkgraph_store::{Rewind, StoreError, Turn};
use talkgraph_tools::CallerHeaders;

use crate::run::child_run_log::ChildRunLog;
use crate::run::event_log::{LogBounds, LogError, RunLog, StateChange};
use crate::run::message_builder::MessageBuilder;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use crate::run::store_retry::retry_while_unavailable;
use crate::spec::limits::Limits;

/// The work of a run: the agent, the message to answer and the caller's headers.
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

/// The state of one run.
pub(crate) struct RunContext {
    pub(crate) services: Arc<RunServices>,
    pub(crate) control: Arc<dyn RunControl>,
    pub(crate) who: Principal,
    pub(crate) run: Run,
    pub(crate) live: Arc<LiveRun>,
    pub(crate) log: RunLog,
    pub(crate) message: MessageBuilder,
    /// The position of the message to answer.
    pub(crate) input_position: i32,
    /// The state of the session before the run; a withdrawn run restores it.
    pub(crate) rewind: Option<Rewind>,
    /// The events of the next write.
    pub(crate) pending: Vec<EventBody>,
    pub(crate) finish_reason: Option<FinishReason>,
    /// The number of steps that wrote summaries.
    pub(crate) summary_steps: u32,
    /// The number of hand-offs.
    pub(crate) handoffs: u32,
    /// The child runs of the run.
    pub(crate) child_runs: ChildRunLog,
    /// The interrupts of the run, resolved or not.
    pub(crate) interrupts: Vec<Interrupt>,
    /// The execution time before the last suspension; it counts towards the run's timeout.
    pub(crate) time_used: Duration,
}

impl RunContext {
    /// Creates the state of a run with the message that its log holds so far; the run answers
    /// `input`.
    pub(crate) fn new(
        services: &Arc<RunServices>,
        control: Arc<dyn RunControl>,
        who: Principal,
        run: Run,
        input: &Message,
        live: Arc<LiveRun>,
        message: MessageBuilder,
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
            message,
            input_position: input.position,
            rewind: None,
            pending: Vec::new(),
            finish_reason: None,
            summary_steps: 0,
            handoffs: 0,
            child_runs: ChildRunLog::default(),
            interrupts: Vec::new(),
            time_used: Duration::ZERO,
        }
    }

    /// Records that the run is next in its session.
    pub(crate) fn begin_turn(&mut self, turn: Turn) {
        self.run.enqueued = false;
        self.input_position = turn.position;
        self.rewind = Some(Rewind {
            head: turn.parent,
            branch_length: turn.position,
            agent: Some(turn.agent),
        });
    }

    /// Queues the pending events for the next write.
    pub(crate) async fn flush(&mut self) -> Result<(), LogError> {
        // Before the events are taken: a run that is cancelled meanwhile still has them.
        self.log.wait_committed().await?;
        let pending = std::mem::take(&mut self.pending);
        self.log.append(pending, StateChange::None).await
    }

    /// Reads from the store, with retries while it is unavailable.
    pub(crate) async fn read<T, F>(&self, read: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        retry_while_unavailable(self.services.limits.store_outage, read).await
    }
}
