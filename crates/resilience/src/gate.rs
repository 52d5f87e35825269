//! Limits on concurrent calls and on waiting ones.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A limit on concurrent calls, with a queue, first come, first served, that is bounded in
/// length and in time.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Semaphore>,
    queue: Semaphore,
    queue_timeout: Duration,
}

/// A call's slot. Free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// The reason why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoPlace {
    /// All slots are taken, and the queue is full.
    #[error("the queue is full")]
    QueueFull,
    /// No slot became free in time.
    #[error("the wait in the queue was too long")]
    QueueTimeout,
}

impl Gate {
    /// Creates a gate with this many slots, and a queue of this length and waiting time.
    pub fn new(places: usize, queue: usize, queue_timeout: Duration) -> Self {
        let fit = |count: usize| count.min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(fit(places))),
            queue: Semaphore::new(fit(queue)),
            queue_timeout,
        }
    }

    /// Takes a slot; waits for one if necessary.
    pub async fn enter(&self) -> Result<Place, NoPlace> {
        let places = Arc::clone(&self.places);
        // A slot that becomes free goes to the queue, so no waiting call is overtaken here.
        if let Ok(permit) = Arc::clone(&places).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let _waiting = self.queue.try_acquire().map_err(|_| NoPlace::QueueFull)?;
        match timeout(self.queue_timeout, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(NoPlace::QueueTimeout),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn places_and_queue_are_bounded() {
        let gate = Gate::new(2, 1, WAIT);
        let first = gate.enter().await.unwrap();
        let _second = gate.enter().await.unwrap();
        let mut third = Box::pin(gate.enter());
        assert!((&mut third).now_or_never().is_none());
        assert_eq!(gate.enter().await.unwrap_err(), NoPlace::QueueFull);
        drop(first);
        // The slot belongs to the third call already, though it was not polled.
        assert!(gate.places.try_acquire().is_err());
        let _third = third.await.unwrap();
        assert!(gate.enter().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn timed_out_wait_leaves_the_queue() {
        let gate = Gate::new(1, 1, WAIT);
        let _first = gate.enter().await.unwrap();
        for _ in 0..2 {
            assert_eq!(gate.enter().await.unwrap_err(), NoPlace::QueueTimeout);
        }
    }
}
