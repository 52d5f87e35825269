//! Runs whose server has died while it was making them. One of them may be what it died of, so
//! they are restarted a few at a time, and alone after more than one death: the cause of the
//! next death is then known.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use talkgraph_domain::time::now;
use talkgraph_domain::{RunId, RunStatus};
use talkgraph_store::TakenRun;

use crate::control::lifecycle::Lifecycle;
use crate::control::recovery::Recovery;
use crate::run::services::RunServices;
use crate::run::store_retry::StoreBackoff;

/// The number of unclean ends from which a run is a suspect.
const SUSPECT: u32 = 2;

/// The number of unclean ends from which a run that was alone is the cause, whatever else was
/// ran at the time.
const SURE: u32 = 4;

/// The limit of runs restarted at once, as a multiple of the first number, reached as the
/// first ones prove harmless.
const GROWTH: usize = 16;

/// The number of attempts to take up a run before others have their turn.
const TRIES: u32 = 5;

/// Runs of this node that wait to be restarted. Bounded by the active runs of the servers that
/// have died.
#[derive(Default)]
pub(crate) struct Held {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    suspects: VecDeque<TakenRun>,
    others: VecDeque<TakenRun>,
    /// Both, and those that are on probation.
    known: HashSet<RunId>,
}

impl Held {
    /// Adds a run, unless it is there.
    pub(crate) fn add(&self, taken: TakenRun) {
        let mut waiting = self.waiting();
        if waiting.known.insert(taken.run.id) {
            waiting.push(taken);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// The number of runs.
    pub(crate) fn len(&self) -> usize {
        self.waiting().known.len()
    }

    fn again(&self, taken: TakenRun) {
        self.waiting().push(taken);
    }

    fn remove(&self, run: RunId) {
        self.waiting().known.remove(&run);
    }

    /// The next run that may be restarted next to `others` on probation, of which one may be
    /// a suspect.
    fn next(&self, others: usize, is_one_alone: bool, at_once: usize) -> Option<TakenRun> {
        let mut waiting = self.waiting();
        match waiting.suspects.is_empty() {
            false if others == 0 => waiting.suspects.pop_front(),
            true if !is_one_alone && others < at_once => waiting.others.pop_front(),
            _ => None,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, taken: TakenRun) {
        match is_suspect(&taken) {
            true => self.suspects.push_back(taken),
            false => self.others.push_back(taken),
        }
    }
}

fn is_suspect(taken: &TakenRun) -> bool {
    taken.unclean_ends >= SUSPECT
}

/// Returns true when its server has died of the run: it ran alone, as a suspect. If a run of
/// another caller has begun meanwhile it may have been that one, so the suspect has one more try.
pub(crate) fn is_cause(taken: &TakenRun, all: &[TakenRun]) -> bool {
    let Some(since) = taken.alone_since else {
        return false;
    };
    let has_begun = |other: &TakenRun| {
        other.taken_from == taken.taken_from
            && other.run.status == RunStatus::Running
            && other.run.started_at.is_some_and(|at| at > since)
    };
    taken.unclean_ends >= SURE || !all.iter().any(has_begun)
}

/// Restarts held runs.
pub(crate) struct Restarts {
    pub(crate) services: Arc<RunServices>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) held: Arc<Held>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

impl Restarts {
    /// Restarts held runs, each on probation at first, until `stop`.
    pub(crate) async fn run(self: &Arc<Self>, stop: &CancellationToken) {
        let mut probation = JoinSet::new();
        let mut is_one_alone = false;
        let few = self.services.limits.resumed_at_once;
        let mut at_once = few;
        loop {
            if probation.is_empty() {
                is_one_alone = false;
            }
            if self.held.len() == 0 {
                at_once = few;
            }
            while !self.lifecycle.is_draining()
                && let Some(next) = self.held.next(probation.len(), is_one_alone, at_once)
            {
                is_one_alone = is_suspect(&next);
                probation.spawn(Arc::clone(self).on_probation(next));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // One more for each that is over: a thousand runs shall not wait for minutes.
                Some(_) = probation.join_next() => at_once = (at_once + 1).min(few * GROWTH),
                () = self.held.changed.notified() => {}
            }
        }
        // The runs that they watch end by themselves.
        probation.detach_all();
    }

    /// Restarts a held run, and waits until it has outlived its probation or has
    /// ended.
    async fn on_probation(self: Arc<Self>, taken: TakenRun) {
        let (id, node) = (taken.run.id, self.services.node);
        let alone_since = is_suspect(&taken).then(now);
        // Logged before it is marked: a process that dies between the two leaves the reason.
        if alone_since.is_some() {
            tracing::warn!(run = %id, unclean_ends = taken.unclean_ends, "a suspect is made alone");
        }
        let mut pauses = StoreBackoff::new();
        // Written before anything of it is done.
        loop {
            match self
                .services
                .store
                .release_held(&taken.run, node, alone_since)
                .await
            {
                Ok(true) => break,
                Ok(false) => return self.held.remove(id),
                Err(error) => {
                    tracing::warn!(run = %id, %error, "a held run was not released; retrying")
                }
            }
            pauses.pause().await;
            if self.lifecycle.is_draining() {
                return;
            }
        }
        for tries in 1.. {
            let Err(error) = self
                .recovery
                .take_up(taken.who.clone(), taken.run.clone())
                .await
            else {
                break;
            };
            tracing::error!(run = %id, %error, "a run was not taken up");
            if tries == TRIES {
                return self.held.again(taken);
            }
            pauses.pause().await;
        }
        self.watch(&taken).await;
        self.held.remove(id);
    }

    /// Waits until a run has ended, or until its probation is over.
    async fn watch(&self, taken: &TakenRun) {
        let Some(live) = self.services.bus.get(taken.run.id) else {
            return;
        };
        let mut pauses = StoreBackoff::new();
        let probation = async {
            tokio::time::sleep(self.services.limits.probation).await;
            while let Err(error) = self
                .services
                .store
                .clear_suspicion(&taken.run, self.services.node)
                .await
            {
                tracing::warn!(run = %taken.run.id, %error, "a run stays on probation");
                pauses.pause().await;
            }
        };
        tokio::select! {
            _ = live.finished() => {}
            () = probation => {}
        }
    }
}

#[cfg(test)]
mod tests;
