//! Live runs: the runs that execute in this process, for those who follow or cancel them.
//!
//! Events reach the bus only after they are committed. Subscribers pull: each keeps only its
//! position in the one shared tail, so a slow one costs nothing and delays no other.

mod change_feed;
mod live;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

pub use change_feed::ChangeFeed;
pub use live::{LiveRun, Ready, RunOutcome};
use tracing::Span;

use talkgraph_domain::RunId;

/// The live runs of this process.
#[derive(Default)]
pub struct Bus {
    runs: RwLock<HashMap<RunId, Arc<LiveRun>>>,
    changes: ChangeFeed,
}

impl Bus {
    /// Announces a run before its first event is committed, so that a reader knows that the log of
    /// a run that is not here is complete. If `parent` runs here, this run is cancelled with it.
    /// All logging about the run happens within `span`.
    pub fn open(
        &self,
        run: RunId,
        parent: Option<RunId>,
        tail_limit: usize,
        span: Span,
    ) -> Arc<LiveRun> {
        let parent = parent.and_then(|parent| self.get(parent));
        let cancel = parent.map(|parent| parent.cancel_token().child_token());
        let live = LiveRun::new(run, tail_limit, cancel.unwrap_or_default(), span);
        let live = Arc::new(live);
        self.write().insert(run, Arc::clone(&live));
        live
    }

    /// The changes of sessions.
    pub fn news(&self) -> &ChangeFeed {
        &self.changes
    }

    /// The run, if it executes here.
    pub fn get(&self, run: RunId) -> Option<Arc<LiveRun>> {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        runs.get(&run).cloned()
    }

    /// Removes a run: from then on only its log is available. Those who hold it already continue to
    /// its end.
    pub fn close(&self, run: RunId) {
        if let Some(live) = self.write().remove(&run) {
            live.close();
        }
    }

    /// Calls `act` with every live run.
    pub fn each(&self, act: impl Fn(&LiveRun)) {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        runs.values().for_each(|live| act(live));
    }

    /// The number of live runs.
    pub fn len(&self) -> usize {
        self.runs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Returns true if no run is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<RunId, Arc<LiveRun>>> {
        self.runs.write().unwrap_or_else(PoisonError::into_inner)
    }
}
