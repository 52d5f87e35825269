//! Take-over of runs whose server is gone, so that they do not block their sessions.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use futures_util::FutureExt;

use talkgraph_domain::time::span;
use talkgraph_store::{StoreError, TakenRun};

use crate::control::recovery::Recovery;
use crate::control::restart_queue::{Restarts, is_cause};
use crate::run::services::RunServices;
use crate::run::store_retry::log_store_error;

/// The number of expired runs that are taken at once.
const ROUND: u32 = 100;

/// Past every lease.
const FOREVER: TimeDelta = TimeDelta::days(100 * 365);

/// The next state of a run whose server is gone, in the order in which they are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Its server has died of it.
    Fail,
    /// It may be the cause, and is restarted with care.
    Hold,
    /// It cannot be the cause: its server has left it to the next one, or did not execute it.
    GoOn,
}

fn fate(taken: &TakenRun, all: &[TakenRun]) -> Fate {
    match taken.is_held {
        true if is_cause(taken, all) => Fate::Fail,
        true => Fate::Hold,
        false => Fate::GoOn,
    }
}

/// Takes over expired runs and runs of this node that no task executes.
pub(crate) struct Takeover {
    services: Arc<RunServices>,
    recovery: Arc<Recovery>,
    restarts: Arc<Restarts>,
    /// The age at which leases of the next round count as expired.
    expired_at: TimeDelta,
    /// Runs of earlier rounds that were taken and failed to resume.
    left: Vec<(Fate, TakenRun)>,
    /// Set while runs are taken that are neither live nor held, for the heartbeat.
    has_backlog: Arc<AtomicBool>,
}

impl Takeover {
    pub(crate) fn new(restarts: Arc<Restarts>, has_backlog: Arc<AtomicBool>) -> Self {
        // Where no other process can execute them, no lease has to expire first.
        let expired_at = restarts.services.store.was_alone().then_some(FOREVER);
        Self {
            services: Arc::clone(&restarts.services),
            recovery: Arc::clone(&restarts.recovery),
            restarts,
            expired_at: expired_at.unwrap_or_default(),
            left: Vec::new(),
            has_backlog,
        }
    }

    /// Takes over the runs whose server is gone.
    pub(crate) async fn take_expired(&mut self) -> Result<(), StoreError> {
        let taken = self.take_and_resume().await;
        self.has_backlog
            .store(!self.left.is_empty(), Ordering::Release);
        match taken {
            Ok(()) => self.expired_at = TimeDelta::zero(),
            // They may be this node's all the same.
            Err(_) => self.recovery.has_orphans.store(true, Ordering::Release),
        }
        taken
    }

    /// Resumes expired runs, and those that are left: they are this node's, which keeps their
    /// leases alive, so no other server takes them.
    async fn take_and_resume(&mut self) -> Result<(), StoreError> {
        if self.restarts.lifecycle.is_draining() {
            return Ok(());
        }
        let taken = self.take_all().await?;
        let mut next = std::mem::take(&mut self.left);
        next.extend(taken);
        self.has_backlog.store(!next.is_empty(), Ordering::Release);
        // The causes of deaths come before anything else runs.
        next.sort_by_key(|(fate, _)| *fate);
        for (fate, taken) in next {
            let (who, run) = (taken.who.clone(), taken.run.clone());
            let done = match fate {
                Fate::Fail => self.recovery.fail_crashed(who, run).await,
                Fate::Hold => {
                    self.restarts.held.add(taken);
                    continue;
                }
                Fate::GoOn => self.recovery.take_over(who, run).await,
            };
            if let Err(error) = done {
                log_store_error(&self.services.store, &error, "a run was not taken up");
                self.left.push((fate, taken));
            }
        }
        Ok(())
    }

    /// All expired runs, with their fates. They are compared with each other, so none is handled
    /// before the last is read.
    async fn take_all(&self) -> Result<Vec<(Fate, TakenRun)>, StoreError> {
        let (store, node) = (&self.services.store, self.services.node);
        let (mut all, lease) = (Vec::new(), span(self.services.limits.lease));
        loop {
            let taken = store.take_expired_runs(node, self.expired_at, lease, ROUND);
            let taken = taken.await?;
            let is_full = taken.len() == ROUND as usize;
            all.extend(taken);
            if !is_full {
                break;
            }
        }
        let fates: Vec<_> = all.iter().map(|taken| fate(taken, &all)).collect();
        Ok(fates.into_iter().zip(all).collect())
    }

    /// Takes up runs of this node that no task executes, where there may be any: their last
    /// interrupt was resolved, or they came to this node, while the database was away.
    pub(crate) async fn take_orphans(&self) -> Result<(), StoreError> {
        let (services, recovery) = (&self.services, &self.recovery);
        let held = &self.restarts.held;
        if self.restarts.lifecycle.is_draining()
            || !recovery.has_orphans.swap(false, Ordering::AcqRel)
        {
            return Ok(());
        }
        let most = services.limits.active + services.limits.queued + held.len();
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let taken = async {
            for taken in services.store.runs_of_node(services.node, most).await? {
                match taken.is_held {
                    true => held.add(taken),
                    false => recovery.take_up(taken.who, taken.run).await?,
                }
            }
            Ok(())
        };
        // One run that panics here must not end housekeeping.
        let taken = AssertUnwindSafe(taken).catch_unwind().await;
        let taken = taken.unwrap_or_else(|_| Err(StoreError::Internal("it panicked".to_owned())));
        if taken.is_err() {
            recovery.has_orphans.store(true, Ordering::Release);
        }
        taken
    }
}
