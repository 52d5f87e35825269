//! Live runs: what is being made in this process, for those who watch it or want it stopped.
//!
//! Nothing reaches the bus before it is committed. Subscribers pull: each keeps only its
//! place in the one shared tail, so a slow one costs nothing and holds nobody up.

mod live;
mod news;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

pub use live::{LiveRun, Ready, RunOutcome};
pub use news::SessionNews;
use tracing::Span;

use talkgraph_domain::RunId;

/// The live runs of this process.
#[derive(Default)]
pub struct Bus {
    runs: RwLock<HashMap<RunId, Arc<LiveRun>>>,
    news: SessionNews,
}

impl Bus {
    /// Announces a run before its first event is committed, so that whoever reads the log
    /// of a run that is not here knows that it is whole.
    /// If `parent` asks for it and runs here, it stops with that one. Everything that is
    /// logged of the run is logged within `span`.
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

    /// What changes in sessions.
    pub fn news(&self) -> &SessionNews {
        &self.news
    }

    /// The run, if it is being made here.
    pub fn get(&self, run: RunId) -> Option<Arc<LiveRun>> {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        runs.get(&run).cloned()
    }

    /// Forgets a run: from now on only its log tells of it. Those who hold it already go on
    /// to its end.
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

    /// How many runs are live.
    pub fn len(&self) -> usize {
        self.runs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no run is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<RunId, Arc<LiveRun>>> {
        self.runs.write().unwrap_or_else(PoisonError::into_inner)
    }
}
