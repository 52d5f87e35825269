//! Agents at work: starting runs, making them, following and stopping them.

mod answer;
mod branch;
mod catalog;
mod ending;
mod error;
mod execute;
mod follow;
mod lease;
mod log;
mod once;
mod prompt;
mod room;
mod start;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use catalog::{AgentFileError, Catalog, read_agent_files};
pub use error::{FollowError, StartError};
pub use follow::RunEvents;
pub use start::{StartRequest, Started};

use crate::bus::{Bus, LiveRun};
use crate::domain::{NodeId, Principal, RunEvent, RunId, SessionId};
use crate::llm::Models;
use crate::store::{SharedStore, StoreError};

use turns::Turns;

/// How long stopped runs get to write their ends.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// How many events of a log are read at once.
const LOG_PAGE: u32 = 1_000;

/// Bounds on runs.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// How many are made at once.
    pub active: usize,
    /// How many may wait for that.
    pub queued: usize,
    /// The longest a run may take.
    pub timeout: Duration,
    /// How many earlier messages a model is shown.
    pub history_messages: u32,
    /// The longest answer, in bytes.
    pub answer_bytes: usize,
    /// How many events of a live run are kept in memory.
    pub tail_events: usize,
    /// How long a run stays with a node that is silent.
    pub lease: Duration,
    /// How long a client's key stands for the run that it has started.
    pub idempotency_ttl: Duration,
}

/// What every run needs; made once at start-up.
pub struct Runner {
    pub(crate) store: SharedStore,
    pub(crate) bus: Arc<Bus>,
    pub(crate) models: Models,
    pub(crate) catalog: Catalog,
    pub(crate) limits: RunLimits,
    pub(crate) node: NodeId,
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Starts with one key, by tenant, owner and key.
    keys: Turns<(Arc<str>, Arc<str>, String)>,
    /// Starts that make room for themselves in one session.
    rooms: Turns<SessionId>,
    tasks: TaskTracker,
    draining: AtomicBool,
    /// Ends the waiting for a database that is away when the server stops.
    abandon: CancellationToken,
}

impl Runner {
    /// A runner without any run.
    pub fn new(
        store: SharedStore,
        bus: Arc<Bus>,
        models: Models,
        catalog: Catalog,
        limits: RunLimits,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            bus,
            models,
            catalog,
            node: NodeId::new(),
            places: Arc::new(Semaphore::new(limits.active)),
            queue: Arc::new(Semaphore::new(limits.queued)),
            limits,
            keys: Turns::new(),
            rooms: Turns::new(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            abandon: CancellationToken::new(),
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

    /// Takes no more runs, waits for those that are being made, and after `patience` stops
    /// the rest with their partial answers kept. Returns how many had to be stopped.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.draining.store(true, Ordering::Release);
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let stopped = self.bus.len();
        self.bus.each(|live| live.cancel_token().cancel());
        if tokio::time::timeout(LAST_WRITES, self.tasks.wait())
            .await
            .is_err()
        {
            self.abandon.cancel();
            self.tasks.wait().await;
        }
        stopped
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
