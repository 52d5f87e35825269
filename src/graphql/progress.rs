//! What a transport and a run's subscription tell each other beside the schema.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a subscription to a run's events has got to, for transports that number what they
/// send; clients need not select `sequence`. An event's selection is executed before the next
/// event is taken, so with each response this is the number of its event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

/// The last event that a reconnecting client has seen; `runEvents` goes on after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResumeAfter(pub(crate) u64);

impl Progress {
    /// An event is about to be executed.
    pub(super) fn reached(&self, sequence: u64) {
        self.0.store(sequence, Ordering::Relaxed);
    }

    /// The event that was executed since this was last asked, if there was one.
    pub(crate) fn take(&self) -> Option<u64> {
        // Events are numbered from 1.
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|sequence| *sequence > 0)
    }
}
