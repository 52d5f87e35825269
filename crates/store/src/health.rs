//! The health of the store, by its writer and its files. Read by readiness at any time, without a
//! query.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::StoreError;
use super::outage::Outage;

/// The state that the writer records.
#[derive(Debug)]
pub struct StoreHealth {
    begun: Instant,
    /// The time at which the oldest waiting write was queued, in microseconds after `begun`, plus
    /// one; 0 while none waits.
    waiting: AtomicU64,
    /// The time of the last commit of a group, likewise.
    committed: AtomicU64,
    /// True when the newest group could not be committed.
    has_failed: AtomicBool,
    /// True when the path of the database no longer names the open file.
    has_lost_file: AtomicBool,
    outage: Outage,
}

impl Default for StoreHealth {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            waiting: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            has_lost_file: AtomicBool::new(false),
            outage: Outage::default(),
        }
    }
}

impl StoreHealth {
    /// The age of the oldest write that is not committed yet; zero while none waits.
    pub fn oldest_wait(&self) -> Duration {
        self.since(&self.waiting).unwrap_or_default()
    }

    /// The time since the last commit; none before the first.
    pub fn since_commit(&self) -> Option<Duration> {
        self.since(&self.committed)
    }

    /// True if the newest group could not be committed, because the database is unavailable.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// True when the database's file was removed or replaced while it is open (SQLite).
    pub fn has_lost_file(&self) -> bool {
        self.has_lost_file.load(Ordering::Acquire)
    }

    /// The record of outages.
    pub fn outage(&self) -> &Outage {
        &self.outage
    }

    /// Records that a group is taken whose oldest write was queued at this time.
    pub(super) fn takes(&self, queued: Instant) {
        self.waiting.store(self.stamp(queued), Ordering::Release);
    }

    /// Records that no write waits.
    pub(super) fn rests(&self) {
        self.waiting.store(0, Ordering::Release);
    }

    /// Records the outcome of a group.
    pub(super) fn settled<T>(&self, outcome: &Result<T, StoreError>) {
        match outcome {
            Err(error) if self.outage.note(error) => {
                self.has_failed.store(true, Ordering::Release);
            }
            // The database has answered.
            _ => {
                let now = self.stamp(Instant::now());
                self.committed.store(now, Ordering::Release);
                self.has_failed.store(false, Ordering::Release);
                self.outage.recovered();
            }
        }
    }

    pub(super) fn set_lost_file(&self, is_lost: bool) {
        self.has_lost_file.store(is_lost, Ordering::Release);
    }

    fn stamp(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.begun).as_micros();
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn since(&self, stamp: &AtomicU64) -> Option<Duration> {
        let at = stamp.load(Ordering::Acquire).checked_sub(1)?;
        Some(
            self.begun
                .elapsed()
                .saturating_sub(Duration::from_micros(at)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_write_counts_from_when_it_was_queued() {
        let health = StoreHealth::default();
        assert_eq!(
            (health.oldest_wait(), health.since_commit()),
            (Duration::ZERO, None)
        );
        health.takes(health.begun);
        assert!(health.oldest_wait() > Duration::ZERO);
        health.rests();
        assert_eq!(health.oldest_wait(), Duration::ZERO);
        health.settled::<()>(&Err(StoreError::Unavailable("x".into())));
        assert!(health.has_failed() && health.since_commit().is_none());
        health.settled(&Ok(()));
        assert!(!health.has_failed() && health.since_commit().is_some());
    }
}
