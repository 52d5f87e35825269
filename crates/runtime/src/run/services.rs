//! The services that every run uses.

use std::sync::Arc;

use talkgraph_bus::Bus;
use talkgraph_domain::{NodeId, RunId, SessionId};
use talkgraph_evaluation::Evaluator;
use talkgraph_llm::Models;
use talkgraph_store::SharedStore;
use talkgraph_tools::ToolRegistry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::run::keyed_lock::KeyedLock;
use crate::spec::agent_lookup::AgentLookup;
use crate::spec::catalog::Catalog;
use crate::spec::limits::RunLimits;

/// The services that every run uses; created once at start-up.
pub(crate) struct RunServices {
    pub(crate) store: SharedStore,
    pub(crate) bus: Arc<Bus>,
    pub(crate) models: Models,
    pub(crate) tools: Arc<ToolRegistry>,
    pub(crate) evaluator: Evaluator,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) agents: AgentLookup,
    pub(crate) limits: RunLimits,
    /// The id of this server.
    pub(crate) node: NodeId,
    /// One permit for each run that may execute at once.
    pub(crate) slots: Arc<Semaphore>,
    /// Held by a start that preempts runs of its session, and by a run that takes its turn.
    pub(crate) session_locks: Arc<KeyedLock<SessionId>>,
    /// Held while a run is suspended, resumed, or ended during its suspension.
    pub(crate) suspension_locks: Arc<KeyedLock<RunId>>,
    /// Cancels the retries of a run's last write when the server stops.
    pub(crate) abandon: CancellationToken,
}
