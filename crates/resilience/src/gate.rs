//! How many calls there may be at once, and how many may wait for one of them to end.

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

/// A call's place. Free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoPlace {
    /// All places are taken, and as many wait as may.
    #[error("the queue is full")]
    QueueFull,
    /// None became free in time.
    #[error("the wait in the queue was too long")]
    QueueTimeout,
}

impl Gate {
    /// A gate with this many places, and this many that may wait, each for so long.
    pub fn new(places: usize, queue: usize, queue_timeout: Duration) -> Self {
        let fit = |count: usize| count.min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(fit(places))),
            queue: Semaphore::new(fit(queue)),
            queue_timeout,
        }
    }

    /// A place; waits for one if it must and may.
    pub async fn enter(&self) -> Result<Place, NoPlace> {
        let places = Arc::clone(&self.places);
        // What becomes free goes to those who wait, so nobody is overtaken here.
        if let Ok(permit) = Arc::clone(&places).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let _waiting = self.queue.try_acquire().map_err(|_| NoPlace::QueueFull)?;
        match timeout(self.queue_timeout, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            // Nobody closes the semaphore.
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
        // The place is the third's already, though it has not looked.
        assert!(gate.places.try_acquire().is_err());
        let _third = third.await.unwrap();
        assert!(gate.enter().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_and_leaves_its_room_in_the_queue() {
        let gate = Gate::new(1, 1, WAIT);
        let _first = gate.enter().await.unwrap();
        for _ in 0..2 {
            assert_eq!(gate.enter().await.unwrap_err(), NoPlace::QueueTimeout);
        }
    }
}
