//! The share of the run limits that one run holds.

use tokio::sync::OwnedSemaphorePermit;

/// A run's place among those that are made or wait; given back when dropped.
#[expect(dead_code, reason = "the permits are kept only to be given back")]
pub(crate) enum RunSlot {
    Running(OwnedSemaphorePermit),
    Queued(OwnedSemaphorePermit),
    /// With the run that asks for it, which would otherwise wait for a place that it keeps from
    /// others.
    OfParent,
}
