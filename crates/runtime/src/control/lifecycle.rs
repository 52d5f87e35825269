//! The stop of the server, as its services see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The time in which released runs write their last events.
pub(crate) const LAST_WRITES: Duration = Duration::from_secs(5);

/// The tasks of this server's runs, and the state of its stop.
#[derive(Default)]
pub(crate) struct Lifecycle {
    /// The tasks that a stopping server waits for.
    pub(crate) tasks: TaskTracker,
    draining: AtomicBool,
    /// Ends the streams of followers.
    pub(crate) stopping: CancellationToken,
}

impl Lifecycle {
    /// True once no more runs are accepted.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Refuses runs from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.tasks.close();
    }
}
