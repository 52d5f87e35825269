//! Log lines of an outage of the database: one at its beginning, one a minute while it lasts, and
//! one at its end, for any number of affected runs and requests.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// The interval of log lines during an outage.
const INTERVAL: Duration = Duration::from_secs(60);

/// The time after an outage within which a new failure continues it.
const APART: Duration = Duration::from_secs(10);

/// The one record of outages, shared by all callers of the store.
#[derive(Debug, Default)]
pub struct Outage {
    is_on: AtomicBool,
    total: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    failures: u64,
    /// The time at which a line of an outage was last logged.
    said_at: Option<Instant>,
    ended_at: Option<Instant>,
    /// True if the current outage has been logged.
    is_said: bool,
}

impl Outage {
    /// Counts an error of an unavailable database, and logs it if that is due. Returns true for
    /// such an error.
    pub fn note(&self, error: &StoreError) -> bool {
        let is_outage = matches!(error, StoreError::Unavailable(_));
        if is_outage {
            self.failed(error);
        }
        is_outage
    }

    /// Counts an error that is known to be an outage ([`Outage::note`]).
    pub fn failed(&self, error: &dyn Display) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let (now, mut state) = (Instant::now(), self.state());
        state.failures += 1;
        let since = *state.since.get_or_insert(now);
        self.is_on.store(true, Ordering::Release);
        if !state.is_due(now) {
            return;
        }
        let (was_said, failures) = (state.is_said, state.failures);
        (state.is_said, state.said_at) = (true, Some(now));
        drop(state);
        let lasted_s = since.elapsed().as_secs();
        match was_said {
            false => tracing::error!(%error, failures, "database unavailable"),
            true => tracing::error!(%error, failures, lasted_s, "database still unavailable"),
        }
    }

    /// The number of failures noted since the server started.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Records that the database has accepted a write.
    pub fn recovered(&self) {
        if !self.is_on.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut state = self.state();
        let (since, failures) = (state.since.take(), std::mem::take(&mut state.failures));
        state.ended_at = Some(Instant::now());
        let was_said = std::mem::take(&mut state.is_said);
        drop(state);
        if let (true, Some(since)) = (was_said, since) {
            let lasted_s = since.elapsed().as_secs();
            tracing::warn!(failures, lasted_s, "database available again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self, now: Instant) -> bool {
        let passed = |since: Option<Instant>, time| {
            since.is_none_or(|since| now.saturating_duration_since(since) >= time)
        };
        let is_another = !self.is_said && passed(self.ended_at, APART);
        is_another || passed(self.said_at, INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_due_at_its_beginning_and_each_minute() {
        let begun = Instant::now();
        let mut state = State::default();
        assert!(state.is_due(begun));
        (state.said_at, state.is_said) = (Some(begun), true);
        assert!(!state.is_due(begun + Duration::from_secs(59)));
        assert!(state.is_due(begun + INTERVAL));
        // A flickering outage is one outage.
        (state.ended_at, state.is_said) = (Some(begun), false);
        assert!(!state.is_due(begun + Duration::from_secs(9)));
        assert!(state.is_due(begun + APART));
    }

    #[test]
    fn only_absence_is_an_outage() {
        let outage = Outage::default();
        assert!(!outage.note(&StoreError::Conflict));
        assert!(outage.note(&StoreError::Unavailable("x".into())));
        outage.recovered();
        assert_eq!(outage.state().failures, 0);
    }
}
