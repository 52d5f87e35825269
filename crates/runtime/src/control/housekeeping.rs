//! Housekeeping: the regular work on runs of other servers, on interrupts, keys and logs.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use talkgraph_store::{SharedStore, StoreError};

use crate::control::clock_watch::ClockWatch;
use crate::control::interrupt_expiry::expire_interrupts;
use crate::control::log_compaction::compact_logs;
use crate::control::resolve::InterruptResolver;
use crate::control::restart_queue::Restarts;
use crate::control::takeover::Takeover;
use crate::run::services::RunServices;
use crate::run::store_retry::log_store_error;

/// The number of expired keys that are removed at once, and the most batches in one round.
const KEY_BATCH: u32 = 500;
const KEY_BATCHES: u32 = 100;

/// Takes over expired runs of other servers, resolves expired interrupts, removes expired keys
/// and compacts old logs.
pub struct Housekeeping {
    pub(crate) services: Arc<RunServices>,
    pub(crate) resolver: Arc<InterruptResolver>,
    pub(crate) restarts: Arc<Restarts>,
    pub(crate) takeover: Takeover,
    /// The beats of the heartbeat, each with the number of database failures before it.
    pub(crate) beats: watch::Receiver<u64>,
}

impl Housekeeping {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let restarts = Arc::clone(&self.restarts);
        tokio::join!(self.rounds(&stop), restarts.run(&stop));
    }

    /// One round after each beat. The order matters: after a pause of this process its leases are
    /// renewed before expired runs are taken, so that it does not take its own.
    async fn rounds(mut self, stop: &CancellationToken) {
        let mut clock = ClockWatch::default();
        loop {
            tokio::select! {
                beat = self.beats.changed() => if beat.is_err() {
                    return;
                },
                () = stop.cancelled() => return,
            }
            let failures = *self.beats.borrow_and_update();
            self.round(&mut clock).await;
            let health = self.services.store.health();
            // Only the writer knows the end of its own failures.
            if health.outage().total() == failures && !health.has_failed() {
                health.outage().recovered();
            }
            self.beats.mark_unchanged();
        }
    }

    async fn round(&mut self, clock: &mut ClockWatch) {
        let store = &self.services.store;
        if let Err(error) = clock.check(store).await {
            tracing::debug!(%error, "the database's clock was not read");
        }
        if let Err(error) = self.takeover.take_expired().await {
            log_store_error(store, &error, "expired runs were not taken up");
        }
        if let Err(error) = self.takeover.take_orphans().await {
            log_store_error(store, &error, "orphaned runs were not resumed");
        }
        if let Err(error) = expire_interrupts(&self.resolver).await {
            log_store_error(store, &error, "interrupts did not expire");
        }
        if let Err(error) = remove_expired_keys(store).await {
            log_store_error(store, &error, "expired idempotency keys were not removed");
        }
        if let Some(retention) = self.services.limits.log_retention
            && let Err(error) = compact_logs(store, retention).await
        {
            log_store_error(store, &error, "old logs were not compacted");
        }
    }
}

/// Removes expired keys in small batches, so that no start waits for long.
async fn remove_expired_keys(store: &SharedStore) -> Result<(), StoreError> {
    for _ in 0..KEY_BATCHES {
        if store.forget_keys(TimeDelta::zero(), KEY_BATCH).await? < u64::from(KEY_BATCH) {
            break;
        }
    }
    Ok(())
}
