//! Agents at work: starting runs, making them, following and stopping them.

mod answer;
mod asked;
mod branch;
mod catalog;
mod client_tools;
mod clock;
mod context;
mod disconnect;
mod ending;
mod error;
mod execute;
mod extra_body;
mod files;
mod find;
mod follow;
mod history;
mod interrupt;
mod lease;
mod limits;
mod log;
mod nothing;
mod once;
mod outage;
mod prompt;
mod recover;
mod resume;
mod room;
mod rules;
mod session;
mod span;
mod spending;
mod start;
mod steps;
mod stop;
mod structured;
mod summary;
mod sweep;
mod team;
mod tools;
mod transcript;
mod turns;
mod variables;
mod zone;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use branch::Branching;
pub use catalog::{AgentFileError, Catalog, read_agent_files, read_checked};
pub use disconnect::CancelOnDrop;
pub use error::{FollowError, StartError};
pub use files::{FileLink, SentFile, mime_type};
pub use follow::RunEvents;
pub use interrupt::ResolveError;
pub use rules::{Rules, SpecError};
pub use session::SessionPlace;
pub use start::{StartRequest, Started};
pub use stop::Stopped;
pub use structured::check_output_schema;
pub use transcript::Transcript;
pub use zone::is_time_zone;

use talkgraph_bus::{Bus, LiveRun};
use talkgraph_domain::{NodeId, OnRestart, Principal, RunEvent, RunId, SessionId};
use talkgraph_evaluation::Evaluator;
use talkgraph_llm::Models;
use talkgraph_store::{SharedStore, StoreError};
use talkgraph_tools::{FileFetch, ToolRegistry};

use resume::Held;
use turns::Turns;
use variables::VariableNames;

/// How long stopped runs get to write their ends.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// How often the database is asked for news where other nodes write to it, and where that is
/// not usual.
const POLL_SHARED: Duration = Duration::from_millis(500);
const POLL_ALONE: Duration = Duration::from_secs(5);

/// How many events of a log are read at once.
const LOG_PAGE: u32 = 1_000;

/// Bounds on runs.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// The shortest time between two events of a call's progress.
    pub progress_interval: Duration,
    /// How many are made at once.
    pub active: usize,
    /// How many may wait for that.
    pub queued: usize,
    /// The longest a run may take.
    pub timeout: Duration,
    /// How many earlier messages a model is shown.
    pub history_messages: u32,
    /// The most events of a run.
    pub log_events: u64,
    /// The largest log of a run, in bytes; about, pieces take little more than their text.
    pub log_bytes: u64,
    /// The longest answer, in bytes.
    pub answer_bytes: usize,
    /// How many events of a live run are kept in memory.
    pub tail_events: usize,
    /// How long a run stays with a node that is silent.
    pub lease: Duration,
    /// How long a client's key stands for the run that it has started.
    pub idempotency_ttl: Duration,
    /// The longest one model call may take.
    pub step_timeout: Duration,
    /// How many model calls a run may have.
    pub max_steps: u32,
    /// How many calls of tools a run makes at once.
    pub parallel_tools: usize,
    /// How many calls of a run its model may get wrong.
    pub tool_mistakes: u32,
    /// How often a run may be handed to another agent.
    pub max_handoffs: u32,
    /// How many runs may be above a run that an agent has asked for.
    pub max_depth: u32,
    /// How many answers of a run are made anew that are not of the form that was asked for.
    pub output_repairs: u32,
    /// How many empty answers of a run are asked for again.
    pub empty_answers: u32,
    /// The longest answer of one model call, in tokens.
    pub max_output_tokens: Option<u32>,
    /// How long a run waits for a database that is away.
    pub store_outage: Duration,
    /// What becomes of a step whose server died.
    pub on_restart: OnRestart,
    /// How often the steps of one run are made again.
    pub restarts: u32,
    /// The number of a dead server's active runs that are restarted at once, until they have
    /// outlived their probation.
    pub resumed_at_once: usize,
    /// The time that a restarted run must live to be no longer suspected.
    pub probation: Duration,
    /// How many runs may wait for others of their session.
    pub session_queue: u32,
    /// How long the log of an ended run stays whole; for ever when absent.
    pub log_retention: Option<Duration>,
    /// How long an interrupt waits for its answer.
    pub interrupt_expiry: Duration,
    /// How many interrupts a run may have.
    pub interrupts: usize,
    /// The largest result of a client's tool, in bytes; more is cut.
    pub client_output_bytes: usize,
    /// The longest time for which a call waits for the answer to a question of its server.
    pub input_timeout: Duration,
    /// The bytes of files that all results of one run may have together.
    pub result_file_bytes: u64,
    /// How many events a subscriber may be behind before adjacent pieces are merged for it.
    pub behind_events: u64,
    /// How many events a subscriber may be behind before it is ended.
    pub lag_events: u64,
}

/// What every run needs; made once at start-up.
pub struct Runner {
    /// The database.
    pub store: SharedStore,
    /// Wake-ups of followers.
    pub bus: Arc<Bus>,
    /// The model providers.
    pub models: Models,
    /// The tools that agents may name.
    pub tools: Arc<ToolRegistry>,
    /// The evaluator of templates and schemas.
    pub evaluator: Evaluator,
    /// The agents.
    pub catalog: Catalog,
    /// The limits of runs.
    pub limits: RunLimits,
    /// Fetches what clients send by its URL; none where that is not wanted.
    files: Option<FileFetch>,
    variables: VariableNames,
    /// The id of this server.
    pub node: NodeId,
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Starts with one key, by tenant, owner and key.
    keys: Turns<(Arc<str>, Arc<str>, String)>,
    /// Starts that make room for themselves in one session, and runs that take their turn.
    rooms: Turns<SessionId>,
    /// Whoever lets a run wait for answers, goes on with one, takes one up or ends one that
    /// waits.
    awaiting: Turns<RunId>,
    /// Whether there may be runs of this node that nobody makes.
    has_orphans: AtomicBool,
    /// A session was deleted, and its content can be removed.
    deletions: Notify,
    /// Runs of dead servers that wait to be restarted.
    held: Held,
    tasks: TaskTracker,
    draining: AtomicBool,
    /// Ends the waiting for a database that is away when the server stops.
    abandon: CancellationToken,
    /// Ends what follows runs when the server stops.
    stopping: CancellationToken,
}

impl Runner {
    /// A runner without any run.
    pub fn new(
        store: SharedStore,
        bus: Arc<Bus>,
        models: Models,
        tools: Arc<ToolRegistry>,
        catalog: Catalog,
        limits: RunLimits,
        files: Option<FileFetch>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            bus,
            models,
            tools,
            evaluator: catalog.rules().evaluator().clone(),
            catalog,
            node: NodeId::new(),
            places: Arc::new(Semaphore::new(limits.active)),
            queue: Arc::new(Semaphore::new(limits.queued)),
            limits,
            files,
            variables: VariableNames::default(),
            keys: Turns::new(),
            rooms: Turns::new(),
            awaiting: Turns::new(),
            has_orphans: AtomicBool::new(false),
            deletions: Notify::new(),
            held: Held::default(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            abandon: CancellationToken::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// The agents this server runs.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The runs being made here.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Asks an active run to stop; it ends by itself soon after, with its partial answer
    /// kept. `None` when it is not being made here. The caller has checked whose it is.
    pub fn cancel(&self, run: RunId) -> Option<Arc<LiveRun>> {
        let live = self.bus.get(run)?;
        live.cancel_token().cancel();
        Some(live)
    }

    /// Takes no more runs, waits for those that are being made, and after `patience` leaves
    /// the rest to the next server. Returns how many were left.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.draining.store(true, Ordering::Release);
        self.tasks.close();
        let ended = tokio::time::timeout(patience, self.tasks.wait());
        let left = match ended.await {
            Ok(()) if self.held.len() == 0 => 0,
            Ok(()) | Err(_) => self.release().await,
        };
        self.stopping.cancel();
        left
    }

    async fn release(&self) -> usize {
        let left = self.bus.len() + self.held.len();
        self.bus.each(|live| live.release_token().cancel());
        let written = tokio::time::timeout(LAST_WRITES, self.tasks.wait());
        if written.await.is_err() {
            self.abandon.cancel();
            self.tasks.wait().await;
        }
        let given = self.store.give_back_runs(self.node);
        if let Err(error) = given.await {
            tracing::warn!(%error, "the runs that are left stay with this server until their leases expire");
        }
        left
    }

    /// How often the database is asked for what other processes may have written.
    pub(crate) fn poll_interval(&self) -> Duration {
        match self.store.is_shared() {
            true => POLL_SHARED,
            false => POLL_ALONE,
        }
    }

    /// The whole log of a run.
    pub(crate) async fn log_of(
        &self,
        who: &Principal,
        run: RunId,
    ) -> Result<Vec<RunEvent>, StoreError> {
        let mut log: Vec<RunEvent> = Vec::new();
        loop {
            let after = log.last().map_or(0, |event| event.sequence);
            let more = self.store.events(who, run, after, LOG_PAGE).await?;
            if more.is_empty() {
                return Ok(log);
            }
            log.extend(more);
        }
    }
}
