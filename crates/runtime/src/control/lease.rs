//! Leases: how a server says that it still makes its runs, and how the runs of one that
//! died are taken up instead of blocking their sessions for ever.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use talkgraph_domain::time::{now, span};
use talkgraph_domain::{EventBody, RunEvent};
use talkgraph_store::{StoreError, TakenRun};

use crate::control::clock_watch::ClockWatch;
use crate::control::restart_queue::is_cause;
use crate::run::event_log::LOG_PAGE;
use crate::run::store_retry::log_trouble;
use crate::runner::Runner;

/// How many expired runs are taken up at once.
const ROUND: u32 = 100;

/// Past every lease.
const FOREVER: TimeDelta = TimeDelta::days(100 * 365);

/// How many logs are compacted in one round.
const COMPACTED: u32 = 200;

/// How many of a log's last events can tell how it ended.
const LAST_EVENTS: u64 = 8;

/// How many expired keys are removed at once, and how often in one round.
const KEY_BATCH: u32 = 500;
const KEY_BATCHES: u32 = 100;

/// The next state of a run whose server is gone, in the order in which they are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// It is what the server has died of.
    Fail,
    /// It may be the cause, and is restarted with care.
    Hold,
    /// It cannot be: its server has left it to the next one, or was not making it.
    GoOn,
}

fn fate(taken: &TakenRun, all: &[TakenRun]) -> Fate {
    match taken.is_held {
        true if is_cause(taken, all) => Fate::Fail,
        true => Fate::Hold,
        false => Fate::GoOn,
    }
}

impl Runner {
    /// Renews this server's leases, takes up expired runs of others, answers expired interrupts,
    /// removes expired keys and compacts old logs, until `stop`.
    pub async fn keep_leases(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.tend_leases(&stop), self.resume_held(&stop));
    }

    async fn tend_leases(self: &Arc<Self>, stop: &CancellationToken) {
        // Three tries before anybody could think that this server is dead.
        let mut ticks = tokio::time::interval(self.limits.lease / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Nobody else can be making them: no lease has to be waited for.
        let mut expired_at = self.store.was_alone().then_some(FOREVER);
        let (mut left, mut clock) = (Vec::new(), ClockWatch::default());
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let health = self.store.health();
            let failures = health.outage().total();
            if let Err(error) = self.renew(left.is_empty()).await {
                log_trouble(&self.store, &error, "leases were not renewed");
            }
            if let Err(error) = self.watch_clock(&mut clock).await {
                tracing::debug!(%error, "the database's clock was not read");
            }
            let at = expired_at.unwrap_or_default();
            match self.take_up_expired(at, &mut left).await {
                Ok(()) => expired_at = None,
                Err(error) => {
                    // They may be this node's all the same.
                    self.has_orphans.store(true, Ordering::Release);
                    log_trouble(&self.store, &error, "expired runs were not taken up");
                }
            }
            if let Err(error) = self.take_up_orphans().await {
                log_trouble(
                    &self.store,
                    &error,
                    "runs that nobody makes were not taken up",
                );
            }
            if let Err(error) = self.expire_interrupts().await {
                log_trouble(&self.store, &error, "interrupts did not expire");
            }
            if let Err(error) = self.forget_keys().await {
                log_trouble(
                    &self.store,
                    &error,
                    "expired idempotency keys were not removed",
                );
            }
            if let Err(error) = self.compact_logs().await {
                log_trouble(&self.store, &error, "old logs were not compacted");
            }
            // Of the writer's own failures only the writer knows the end.
            if health.outage().total() == failures && !health.has_failed() {
                health.outage().recovered();
            }
        }
    }

    async fn renew(&self, is_idle: bool) -> Result<(), StoreError> {
        if is_idle && self.bus.is_empty() && self.held.len() == 0 {
            return Ok(());
        }
        let lease = span(self.limits.lease);
        self.store.renew_leases(self.node, lease).await
    }

    /// Takes up the runs whose server is gone, and those of earlier tries that are `left`:
    /// they are this node's, which keeps their leases alive, so nobody else will.
    async fn take_up_expired(
        self: &Arc<Self>,
        at: TimeDelta,
        left: &mut Vec<(Fate, TakenRun)>,
    ) -> Result<(), StoreError> {
        if self.draining.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut next = std::mem::take(left);
        let taken = self.take_all_expired(at).await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                *left = next;
                return Err(error);
            }
        };
        next.extend(taken);
        // What servers have died of is dealt with before anything else runs.
        next.sort_by_key(|(fate, _)| *fate);
        for (fate, taken) in next {
            let (who, run) = (taken.who.clone(), taken.run.clone());
            let done = match fate {
                Fate::Fail => self.fail_crashed(who, run).await,
                Fate::Hold => {
                    self.held.add(taken);
                    continue;
                }
                Fate::GoOn => self.take_over(who, run).await,
            };
            if let Err(error) = done {
                log_trouble(&self.store, &error, "a run was not taken up");
                left.push((fate, taken));
            }
        }
        Ok(())
    }

    /// All expired runs, with what becomes of each. They are compared with each other, so none
    /// is dealt with before the last is there.
    async fn take_all_expired(&self, at: TimeDelta) -> Result<Vec<(Fate, TakenRun)>, StoreError> {
        let (mut all, lease) = (Vec::new(), span(self.limits.lease));
        loop {
            let taken = self.store.take_expired_runs(self.node, at, lease, ROUND);
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

    /// Takes up runs of this node that nobody makes, where there may be any: they have had
    /// their last answer, or have come to this node, while the database was away.
    async fn take_up_orphans(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.draining.load(Ordering::Acquire) || !self.has_orphans.swap(false, Ordering::AcqRel)
        {
            return Ok(());
        }
        let most = self.limits.active + self.limits.queued + self.held.len();
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let taken = async {
            for taken in self.store.runs_of_node(self.node, most).await? {
                match taken.is_held {
                    true => self.held.add(taken),
                    false => self.take_up(taken.who, taken.run).await?,
                }
            }
            Ok(())
        };
        // Whatever made it stumble once must not end the keeping of leases.
        let taken = AssertUnwindSafe(taken).catch_unwind().await;
        let taken = taken.unwrap_or_else(|_| Err(StoreError::Internal("it panicked".to_owned())));
        if taken.is_err() {
            self.has_orphans.store(true, Ordering::Release);
        }
        taken
    }

    /// Removes expired keys in small batches, so that no start has to wait for long.
    async fn forget_keys(&self) -> Result<(), StoreError> {
        for _ in 0..KEY_BATCHES {
            if self.store.forget_keys(TimeDelta::zero(), KEY_BATCH).await? < u64::from(KEY_BATCH) {
                break;
            }
        }
        Ok(())
    }

    /// Keeps of old logs only how they ended.
    async fn compact_logs(&self) -> Result<(), StoreError> {
        let Some(retention) = self.limits.log_retention else {
            return Ok(());
        };
        let at = now();
        let old = self
            .store
            .runs_to_compact(-span(retention), COMPACTED)
            .await?;
        let has_any = !old.is_empty();
        for (who, run) in old {
            let after = run.last_sequence.saturating_sub(LAST_EVENTS);
            let mut last = self.store.events(&who, run.id, after, LOG_PAGE).await?;
            let tells_end = |event: &RunEvent| {
                let completed = matches!(event.body, EventBody::MessageCompleted { .. });
                completed || event.body.is_terminal()
            };
            let first = last.iter().rposition(|event| !tells_end(event));
            let kept = last.split_off(first.map_or(0, |first| first + 1));
            self.store.compact_log(&who, run.id, &kept, at).await?;
        }
        if has_any {
            self.store.scrub().await?;
        }
        Ok(())
    }
}
