//! Leases: how a server says that it still makes its runs, and how the runs of one that
//! died are ended instead of blocking their sessions for ever.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::time::now;
use crate::domain::{Principal, Run, RunError, RunErrorCode, RunStatus};
use crate::store::StoreError;

use super::Runner;
use super::ending::Ending;

/// How many expired runs are ended in one round.
const ROUND: u32 = 100;

/// How many expired keys are removed at once, and how often in one round.
const KEY_BATCH: u32 = 500;
const KEY_BATCHES: u32 = 100;

impl Runner {
    /// Renews this server's leases, ends expired runs of others and removes expired keys,
    /// until `stop`.
    pub async fn keep_leases(self: Arc<Self>, stop: CancellationToken) {
        // Three tries before anybody could think that this server is dead.
        let mut ticks = tokio::time::interval(self.limits.lease / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.renew().await {
                tracing::error!(%error, "leases were not renewed");
            }
            if let Err(error) = self.end_expired().await {
                tracing::error!(%error, "expired runs were not ended");
            }
            if let Err(error) = self.forget_keys().await {
                tracing::error!(%error, "expired idempotency keys were not removed");
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

    async fn end_expired(self: &Arc<Self>) -> Result<(), StoreError> {
        let at = now();
        let until = at + self.limits.lease;
        let expired = self
            .store
            .take_expired_runs(self.node, at, until, ROUND)
            .await?;
        for (who, run) in expired {
            tracing::warn!(run = %run.id, "ending a run whose server is gone");
            self.end_interrupted(who, run).await;
        }
        Ok(())
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

    async fn end_interrupted(self: &Arc<Self>, who: Principal, run: Run) {
        // Ours and live only if this very process was too slow to renew its lease.
        if self.bus.get(run.id).is_some() {
            return;
        }
        let live = self.bus.open(run.id, self.limits.tail_events);
        let id = run.id;
        let error = RunError {
            code: RunErrorCode::Interrupted,
            message: "the server stopped while the answer was being made".to_owned(),
            retryable: true,
        };
        let mut ending = Ending::recovered(self, who, run, live);
        ending.finish(RunStatus::Failed, Some(error)).await;
        self.bus.close(id);
    }
}
