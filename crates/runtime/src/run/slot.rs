//! The execution slots of runs.

use tokio::sync::OwnedSemaphorePermit;

/// The slot of a run, for execution or in the queue; released when dropped.
#[expect(dead_code, reason = "the permits are kept only to be given back")]
pub(crate) enum RunSlot {
    Running(OwnedSemaphorePermit),
    Queued(OwnedSemaphorePermit),
    /// The slot of the parent run. A child run that waited for one of its own could wait for its
    /// parent forever.
    OfParent,
}
