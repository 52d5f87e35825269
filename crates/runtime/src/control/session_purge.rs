//! Deletion of sessions, and the removal of their contents.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use talkgraph_bus::Bus;
use talkgraph_domain::time::now;
use talkgraph_domain::{Principal, SessionId};
use talkgraph_store::{Purge, SharedStore, StoreError};

/// The number of deleted sessions that are looked up at once.
const ROUND: u32 = 100;

/// The time for which the tombstone of a session stays: followers of an owner's sessions read it
/// to learn of the deletion.
const TOMBSTONE: Duration = Duration::from_secs(60 * 60);

/// The number of tombstones that are removed at once.
const TOMBSTONES: u32 = 200;

/// The shortest pause after a batch, in which others write.
const PAUSE: Duration = Duration::from_millis(1);

/// Deletes sessions.
pub struct SessionDeletion {
    pub(crate) store: SharedStore,
    pub(crate) bus: Arc<Bus>,
    /// The interval in which deletions by other processes are looked up.
    pub(crate) interval: Duration,
    /// Wakes the purge after a deletion.
    pub(crate) deletions: Notify,
}

impl SessionDeletion {
    /// Deletes a session: every reader misses it at once, and its content is removed soon after.
    /// `ActiveRun` while the session has an active run.
    pub async fn delete(&self, who: &Principal, session: SessionId) -> Result<(), StoreError> {
        self.store.delete_session(who, session).await?;
        self.bus.news().announce(who, session);
        self.deletions.notify_one();
        Ok(())
    }

    /// Removes the content of deleted sessions, those of earlier processes too, until `stop`.
    pub async fn purge(self: Arc<Self>, stop: CancellationToken) {
        // The first tick comes at once. Later ones are for what other processes have deleted.
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.deletions.notified() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.purge_sessions(&stop).await {
                tracing::error!(%error, "the content of deleted sessions was not removed");
            }
            if let Err(error) = self.give_back(&stop).await {
                tracing::error!(%error, "the database gave no space back");
            }
        }
    }

    async fn purge_sessions(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut has_removed = false;
        loop {
            let sessions = self.store.sessions_to_purge(ROUND).await?;
            let mut has_progress = false;
            for session in sessions {
                has_progress |= self.purge_session(session, stop).await?;
                if stop.is_cancelled() {
                    return Ok(());
                }
            }
            has_removed |= has_progress;
            // Those that are blocked wait for others, which may be gone by now.
            if !has_progress {
                break;
            }
        }
        if has_removed {
            self.store.scrub().await?;
        }
        let before = now() - TOMBSTONE;
        self.store.forget_tombstones(before, TOMBSTONES).await?;
        Ok(())
    }

    /// Gives the space of what was removed back to the file system, as slowly.
    async fn give_back(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        while !stop.is_cancelled() {
            let began = Instant::now();
            if !self.store.give_back().await? {
                break;
            }
            tokio::time::sleep(began.elapsed().max(PAUSE)).await;
        }
        Ok(())
    }

    /// Removes a session's content batch by batch, and rests after each as long as it has taken:
    /// others write at least half of the time. True if anything was removed.
    async fn purge_session(
        &self,
        session: SessionId,
        stop: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let mut has_removed = false;
        while !stop.is_cancelled() {
            let began = Instant::now();
            match self.store.purge_session(session, now()).await? {
                Purge::Done => return Ok(true),
                Purge::Blocked => break,
                Purge::More => has_removed = true,
            }
            tokio::time::sleep(began.elapsed().max(PAUSE)).await;
        }
        Ok(has_removed)
    }
}
