//! State shared by a transport and a run's subscription, outside of the schema.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The position of a subscription in a run's events, for transports that number their messages;
/// clients need not select `sequence`. An event's selection is executed before the next event is
/// taken, so with each response this is the number of its event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

/// The last event that a reconnecting client received; `runEvents` continues after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResumeAfter(pub(crate) u64);

impl Progress {
    /// Records the event that is about to be executed.
    pub(super) fn reached(&self, sequence: u64) {
        self.0.store(sequence, Ordering::Relaxed);
    }

    /// Returns the event executed since the last call, if any.
    pub(crate) fn take(&self) -> Option<u64> {
        // Events are numbered from 1.
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|sequence| *sequence > 0)
    }
}
