//! The services of agents and their runs, and their stop.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use talkgraph_bus::Bus;
use talkgraph_domain::{Agent, AgentSpec, NodeId, Principal};
use talkgraph_evaluation::Failure;
use talkgraph_llm::Models;
use talkgraph_store::{SharedStore, StoreError};
use talkgraph_tools::{FileFetch, ToolRegistry};

use crate::control::branch::Branches;
use crate::control::cancel::Canceller;
use crate::control::child_runs::ChildRuns;
use crate::control::heartbeat::Heartbeat;
use crate::control::housekeeping::Housekeeping;
use crate::control::idempotency::Idempotency;
use crate::control::lifecycle::{LAST_WRITES, Lifecycle};
use crate::control::recovery::Recovery;
use crate::control::resolve::InterruptResolver;
use crate::control::restart_queue::Restarts;
use crate::control::session_purge::SessionDeletion;
use crate::control::start::Starter;
use crate::control::takeover::Takeover;
use crate::control::uploads::Uploads;
use crate::follow::run::Follow;
use crate::run::keyed_lock::KeyedLock;
use crate::run::services::RunServices;
use crate::spec::agent_lookup::AgentLookup;
use crate::spec::catalog::Catalog;
use crate::spec::limits::RunLimits;
use crate::spec::spec_error::SpecError;
use crate::spec::team::defined::check_defined_team;
use crate::spec::template_variables::TemplateVariables;

/// The services of agents and their runs, created once at start-up.
pub struct Runner {
    /// The database.
    pub store: SharedStore,
    /// The model providers.
    pub models: Models,
    /// Starts runs.
    pub starter: Arc<Starter>,
    /// Starts runs on new branches.
    pub branches: Branches,
    /// Cancels runs.
    pub canceller: Arc<Canceller>,
    /// Resolves interrupts.
    pub resolver: Arc<InterruptResolver>,
    /// Follows runs and sessions.
    pub follow: Arc<Follow>,
    /// Deletes sessions.
    pub deletion: Arc<SessionDeletion>,
    /// Keys of requests other than starts.
    pub keys: Arc<Idempotency>,
    services: Arc<RunServices>,
    variables: TemplateVariables,
    restarts: Arc<Restarts>,
    lifecycle: Arc<Lifecycle>,
    /// Keeps the services alive that runs call back.
    _children: Arc<ChildRuns>,
}

impl Runner {
    /// Services without any run.
    pub fn new(
        store: SharedStore,
        bus: Arc<Bus>,
        models: Models,
        tools: Arc<ToolRegistry>,
        catalog: Catalog,
        limits: RunLimits,
        fetch: Option<FileFetch>,
    ) -> Arc<Self> {
        let catalog = Arc::new(catalog);
        let services = Arc::new(RunServices {
            store: Arc::clone(&store),
            bus,
            models: models.clone(),
            tools,
            evaluator: catalog.rules().evaluator().clone(),
            catalog: Arc::clone(&catalog),
            agents: AgentLookup::new(Arc::clone(&catalog), Arc::clone(&store)),
            node: NodeId::new(),
            slots: Arc::new(Semaphore::new(limits.active)),
            session_locks: Arc::new(KeyedLock::new()),
            suspension_locks: Arc::new(KeyedLock::new()),
            abandon: CancellationToken::new(),
            limits,
        });
        let lifecycle = Arc::<Lifecycle>::default();
        let uploads = Uploads {
            store: Arc::clone(&store),
            catalog,
            models: models.clone(),
            fetch,
        };
        let children = child_runs(&services, &lifecycle, uploads);
        let recovery = Arc::clone(&children.canceller.recovery);
        Arc::new(Self {
            starter: Arc::clone(&children.starter),
            branches: Branches {
                store: Arc::clone(&store),
                starter: Arc::clone(&children.starter),
            },
            canceller: Arc::clone(&children.canceller),
            resolver: Arc::clone(&children.resolver),
            follow: Arc::clone(&children.follow),
            deletion: Arc::new(SessionDeletion {
                store: Arc::clone(&store),
                bus: Arc::clone(&services.bus),
                interval: services.limits.lease / 3,
                deletions: Notify::new(),
            }),
            keys: Arc::clone(&children.resolver.keys),
            restarts: Arc::new(Restarts {
                services: Arc::clone(&services),
                recovery,
                held: Arc::default(),
                lifecycle: Arc::clone(&lifecycle),
            }),
            variables: TemplateVariables::default(),
            store,
            models,
            services,
            lifecycle,
            _children: children,
        })
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
        self.services.agents.by_name(who, name).await
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
        self.variables
            .of(&self.services.evaluator, who, agent)
            .await
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
        check_defined_team(&self.services.agents, who, spec).await
    }

    /// The agents this server runs.
    pub fn catalog(&self) -> &Catalog {
        &self.services.catalog
    }

    /// The runs that are live on this node.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.services.bus
    }

    /// The two tasks that look after runs. The caller spawns each, and stops both only after
    /// [`Runner::drain`].
    pub fn upkeep(&self) -> (Heartbeat, Housekeeping) {
        let has_backlog = Arc::new(AtomicBool::new(false));
        let (beats, received) = watch::channel(0);
        let heartbeat = Heartbeat {
            store: Arc::clone(&self.store),
            bus: Arc::clone(&self.services.bus),
            held: Arc::clone(&self.restarts.held),
            has_backlog: Arc::clone(&has_backlog),
            node: self.services.node,
            lease: self.services.limits.lease,
            beats,
        };
        let housekeeping = Housekeeping {
            services: Arc::clone(&self.services),
            resolver: Arc::clone(&self.resolver),
            restarts: Arc::clone(&self.restarts),
            takeover: Takeover::new(Arc::clone(&self.restarts), has_backlog),
            beats: received,
        };
        (heartbeat, housekeeping)
    }

    /// Stops accepting runs, waits for active runs to finish, and after `patience` leaves the rest
    /// to the next server. Returns the number of those.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.lifecycle.drain();
        let ended = tokio::time::timeout(patience, self.lifecycle.tasks.wait());
        let left = match ended.await {
            Ok(()) if self.restarts.held.len() == 0 => 0,
            Ok(()) | Err(_) => self.release().await,
        };
        self.lifecycle.stopping.cancel();
        left
    }

    async fn release(&self) -> usize {
        let left = self.services.bus.len() + self.restarts.held.len();
        self.services.bus.each(|live| live.release_token().cancel());
        let written = tokio::time::timeout(LAST_WRITES, self.lifecycle.tasks.wait());
        if written.await.is_err() {
            self.services.abandon.cancel();
            self.lifecycle.tasks.wait().await;
        }
        let given = self.services.store.give_back_runs(self.services.node);
        if let Err(error) = given.await {
            tracing::warn!(%error, "the runs that are left stay with this server until their leases expire");
        }
        left
    }
}

/// The services that runs call back. What creates runs is behind them and refers to them weakly.
fn child_runs(
    services: &Arc<RunServices>,
    lifecycle: &Arc<Lifecycle>,
    uploads: Uploads,
) -> Arc<ChildRuns> {
    Arc::new_cyclic(|children: &Weak<ChildRuns>| {
        let recovery = Arc::new(Recovery {
            services: Arc::clone(services),
            lifecycle: Arc::clone(lifecycle),
            control: children.clone(),
            has_orphans: AtomicBool::new(false),
        });
        let canceller = Arc::new(Canceller {
            services: Arc::clone(services),
            recovery: Arc::clone(&recovery),
            lifecycle: Arc::clone(lifecycle),
        });
        let starter = Starter {
            services: Arc::clone(services),
            canceller: Arc::clone(&canceller),
            uploads,
            lifecycle: Arc::clone(lifecycle),
            control: children.clone(),
            queue: Arc::new(Semaphore::new(services.limits.queued)),
            keys: KeyedLock::new(),
        };
        let keys = Idempotency {
            store: Arc::clone(&services.store),
            ttl: services.limits.idempotency_ttl,
        };
        let resolver = InterruptResolver {
            services: Arc::clone(services),
            recovery,
            lifecycle: Arc::clone(lifecycle),
            keys: Arc::new(keys),
        };
        let follow = Follow {
            store: Arc::clone(&services.store),
            bus: Arc::clone(&services.bus),
            limits: services.limits.clone(),
            stopping: lifecycle.stopping.clone(),
        };
        ChildRuns {
            starter: Arc::new(starter),
            canceller,
            resolver: Arc::new(resolver),
            follow: Arc::new(follow),
        }
    })
}
