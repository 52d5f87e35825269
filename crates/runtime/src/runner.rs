//! The services that every run needs, and the end of them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::heartbeat::Heartbeat;
use crate::control::housekeeping::Housekeeping;
use crate::control::restart_queue::Held;
use crate::control::takeover::Takeover;
use crate::follow::run::Follow;
use crate::run::event_log::LOG_PAGE;
use crate::run::keyed_lock::Turns;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use crate::spec::agent_lookup::AgentLookup;
use crate::spec::catalog::Catalog;
use crate::spec::limits::RunLimits;
use crate::spec::spec_validation::SpecError;
use crate::spec::team::rules::check_defined_team;
use crate::spec::template_variables::VariableNames;
use talkgraph_bus::{Bus, LiveRun};
use talkgraph_domain::{Agent, AgentSpec, NodeId, Principal, RunEvent, RunId, SessionId};
use talkgraph_evaluation::{Evaluator, Failure};
use talkgraph_llm::Models;
use talkgraph_store::{SharedStore, StoreError};
use talkgraph_tools::{FileFetch, ToolRegistry};

/// How long stopped runs get to write their ends.
pub(crate) const LAST_WRITES: Duration = Duration::from_secs(5);

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
    pub catalog: Arc<Catalog>,
    /// The limits of runs.
    pub limits: RunLimits,
    /// Fetches what clients send by its URL; none where that is not wanted.
    pub(crate) files: Option<FileFetch>,
    pub(crate) variables: VariableNames,
    /// The id of this server.
    pub node: NodeId,
    /// What its runs use.
    pub(crate) services: Arc<RunServices>,
    pub(crate) agents: AgentLookup,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) queue: Arc<Semaphore>,
    /// Starts with one key, by tenant, owner and key.
    pub(crate) keys: Turns<(Arc<str>, Arc<str>, String)>,
    /// Starts that make room for themselves in one session, and runs that take their turn.
    pub(crate) rooms: Arc<Turns<SessionId>>,
    /// Whoever lets a run wait for answers, goes on with one, takes one up or ends one that
    /// waits.
    pub(crate) awaiting: Arc<Turns<RunId>>,
    /// Whether there may be runs of this node that nobody makes.
    pub(crate) has_orphans: AtomicBool,
    /// A session was deleted, and its content can be removed.
    pub(crate) deletions: Notify,
    /// Runs of dead servers that wait to be restarted.
    pub(crate) held: Arc<Held>,
    pub(crate) tasks: TaskTracker,
    pub(crate) draining: AtomicBool,
    /// Ends the waiting for a database that is away when the server stops.
    pub(crate) abandon: CancellationToken,
    /// Ends what follows runs when the server stops.
    pub(crate) stopping: CancellationToken,
    /// Follows runs and sessions.
    pub follow: Arc<Follow>,
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
        let catalog = Arc::new(catalog);
        let services = Arc::new(RunServices {
            store: Arc::clone(&store),
            bus: Arc::clone(&bus),
            models: models.clone(),
            tools: Arc::clone(&tools),
            evaluator: catalog.rules().evaluator().clone(),
            catalog: Arc::clone(&catalog),
            agents: AgentLookup::new(Arc::clone(&catalog), Arc::clone(&store)),
            limits: limits.clone(),
            node: NodeId::new(),
            slots: Arc::new(Semaphore::new(limits.active)),
            session_locks: Arc::new(Turns::new()),
            suspension_locks: Arc::new(Turns::new()),
            abandon: CancellationToken::new(),
        });
        let stopping = CancellationToken::new();
        let follow = Arc::new(Follow {
            store: Arc::clone(&store),
            bus: Arc::clone(&bus),
            limits: limits.clone(),
            stopping: stopping.clone(),
        });
        Arc::new(Self {
            store,
            bus,
            follow,
            models,
            tools,
            evaluator: catalog.rules().evaluator().clone(),
            catalog,
            node: services.node,
            agents: services.agents.clone(),
            places: Arc::clone(&services.slots),
            queue: Arc::new(Semaphore::new(limits.queued)),
            limits,
            files,
            variables: VariableNames::default(),
            keys: Turns::new(),
            rooms: Arc::clone(&services.session_locks),
            awaiting: Arc::clone(&services.suspension_locks),
            has_orphans: AtomicBool::new(false),
            deletions: Notify::new(),
            held: Arc::default(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            abandon: services.abandon.clone(),
            stopping,
            services,
        })
    }

    /// What a run needs of this runner.
    pub(crate) fn control(self: &Arc<Self>) -> Arc<dyn RunControl> {
        Arc::<Self>::clone(self)
    }

    /// The agent with this name that new runs of this principal can have.
    ///
    /// # Errors
    /// The store's.
    pub async fn agent_named(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Option<Arc<Agent>>, StoreError> {
        self.agents.by_name(who, name).await
    }

    /// The variables that an agent's instructions use, by the names that clients give them.
    ///
    /// # Errors
    /// Fails when the instructions are too costly to look at, or no worker is there.
    pub async fn variables_of(
        &self,
        who: &Principal,
        agent: &Agent,
    ) -> Result<Vec<String>, Failure> {
        self.variables.of(&self.evaluator, who, agent).await
    }

    /// Refuses the team of an agent that `who` defines: one that is not there, or that would
    /// ask itself.
    ///
    /// # Errors
    /// The first field that is wrong, or the store's.
    pub async fn check_team(
        &self,
        who: &Principal,
        spec: &AgentSpec,
    ) -> Result<Result<(), SpecError>, StoreError> {
        check_defined_team(&self.agents, who, spec).await
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

    /// The two tasks that look after runs. The caller spawns each, and stops both only after
    /// [`Runner::drain`].
    pub fn upkeep(self: &Arc<Self>) -> (Heartbeat, Housekeeping) {
        let has_backlog = Arc::new(AtomicBool::new(false));
        let (beats, received) = watch::channel(0);
        let heartbeat = Heartbeat {
            store: Arc::clone(&self.store),
            bus: Arc::clone(&self.bus),
            held: Arc::clone(&self.held),
            has_backlog: Arc::clone(&has_backlog),
            node: self.node,
            lease: self.limits.lease,
            beats,
        };
        let housekeeping = Housekeeping {
            runner: Arc::clone(self),
            takeover: Takeover::new(Arc::clone(self), has_backlog),
            beats: received,
        };
        (heartbeat, housekeeping)
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
