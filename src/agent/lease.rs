//! Leases: how a server says that it still makes its runs, and how the runs of one that
//! died are taken up instead of blocking their sessions for ever.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::domain::time::{Timestamp, now};
use crate::domain::{EventBody, Principal, Run, RunEvent};
use crate::store::StoreError;

use super::outage::log_trouble;
use super::{LOG_PAGE, Runner};

/// How many expired runs are taken up at once.
const ROUND: u32 = 100;

/// Past every lease.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How many logs are compacted in one round.
const COMPACTED: u32 = 200;

/// How many of a log's last events can tell how it ended.
const LAST_EVENTS: u64 = 8;

/// How many expired keys are removed at once, and how often in one round.
const KEY_BATCH: u32 = 500;
const KEY_BATCHES: u32 = 100;

impl Runner {
    /// Renews this server's leases, takes up expired runs of others, answers expired interrupts,
    /// removes expired keys and compacts old logs, until `stop`.
    pub async fn keep_leases(self: Arc<Self>, stop: CancellationToken) {
        // Three tries before anybody could think that this server is dead.
        let mut ticks = tokio::time::interval(self.limits.lease / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Nobody else can be making them: no lease has to be waited for.
        let mut expired_at = self.store.was_alone().then(|| now() + FOREVER);
        let mut left = Vec::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let health = self.store.health();
            let failures = health.outage().total();
            if let Err(error) = self.renew().await {
                log_trouble(&self.store, &error, "leases were not renewed");
            }
            let at = expired_at.unwrap_or_else(now);
            match self.take_up_expired(at, &mut left).await {
                Ok(()) => expired_at = None,
                Err(error) => log_trouble(&self.store, &error, "expired runs were not taken up"),
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

    async fn renew(&self) -> Result<(), StoreError> {
        if self.bus.is_empty() {
            return Ok(());
        }
        let until = now() + self.limits.lease;
        self.store.renew_leases(self.node, until).await
    }

    /// Takes up the runs whose server is gone, and those of earlier tries that are `left`:
    /// they are this node's, which keeps their leases alive, so nobody else will.
    async fn take_up_expired(
        self: &Arc<Self>,
        at: Timestamp,
        left: &mut Vec<(Principal, Run)>,
    ) -> Result<(), StoreError> {
        if self.draining.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut tried = HashSet::new();
        let mut next = std::mem::take(left);
        loop {
            for (who, run) in next.drain(..) {
                tried.insert(run.id);
                if let Err(error) = self.take_up(who.clone(), run.clone()).await {
                    log_trouble(&self.store, &error, "a run was not taken up");
                    left.push((who, run));
                }
            }
            let until = now() + self.limits.lease;
            next = self
                .store
                .take_expired_runs(self.node, at, until, ROUND)
                .await?;
            // Where no lease is waited for, those that have one by now come again.
            next.retain(|(_, run)| !tried.contains(&run.id));
            if next.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes up runs of this node that nobody makes, where there may be any: they have had
    /// their last answer while the database was away.
    async fn take_up_orphans(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.draining.load(Ordering::Acquire) || !self.has_orphans.swap(false, Ordering::AcqRel)
        {
            return Ok(());
        }
        let most = u32::try_from(self.limits.active + self.limits.queued).unwrap_or(u32::MAX);
        let taken = async {
            for (who, run) in self.store.runs_of_node(self.node, most).await? {
                self.take_up(who, run).await?;
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
        let at = now();
        for _ in 0..KEY_BATCHES {
            if self.store.forget_keys(at, KEY_BATCH).await? < u64::from(KEY_BATCH) {
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
            .runs_to_compact(at - retention, COMPACTED)
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
