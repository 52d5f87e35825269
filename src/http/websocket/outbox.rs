//! The queue of frames to a socket's writer: limited in frames and in bytes, first come, first
//! served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, mpsc};

use super::writer::Frame;
use crate::http::in_flight::{Full, Held};

/// The maximum number of queued frames; beyond it, operations wait in order.
pub(super) const QUEUE: usize = 64;

/// The number of queued bytes that are not counted as in flight, and the step in which more are.
const STEP_BYTES: usize = 64 * 1024;

/// The maximum length of a control frame, in bytes: a close frame is always queued.
const CONTROL_BYTES: u32 = 125;

/// The sending end of the queue.
#[derive(Clone)]
pub(super) struct Outbox {
    frames: mpsc::Sender<Frame>,
    shared: Arc<Shared>,
}

/// The receiving end of the queue.
pub(super) struct Queued {
    frames: mpsc::Receiver<Frame>,
    shared: Arc<Shared>,
}

struct Shared {
    /// A permit for each byte that may still be queued.
    bytes: Semaphore,
    limit: usize,
    /// The unsent answer to the last ping.
    pong: Mutex<Option<String>>,
    held: Mutex<Held>,
    /// A copy of the size of `held`, to compare without a lock.
    counted: AtomicUsize,
    /// Signals that a frame exceeded the bytes allowed in flight.
    full: Notify,
}

/// The writer has ended.
#[derive(Debug)]
pub(super) struct Gone;

/// Creates a queue of at most `limit` bytes and [`QUEUE`] frames. One frame may be longer, alone.
/// Queued bytes are counted in `held`.
pub(super) fn outbox(limit: usize, held: Held) -> (Outbox, Queued) {
    let limit = limit.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let shared = Arc::new(Shared {
        bytes: Semaphore::new(limit),
        limit,
        pong: Mutex::default(),
        held: Mutex::new(held),
        counted: AtomicUsize::new(0),
        full: Notify::new(),
    });
    let (sender, receiver) = mpsc::channel(QUEUE);
    let outbox = Outbox {
        frames: sender,
        shared: Arc::clone(&shared),
    };
    let queued = Queued {
        frames: receiver,
        shared,
    };
    (outbox, queued)
}

impl Outbox {
    /// Queues a frame once there is capacity.
    pub(super) async fn send(&self, frame: Frame) -> Result<(), Gone> {
        let bytes = u32::try_from(self.shared.cost(&frame)).unwrap_or(u32::MAX);
        let room = self.shared.bytes.acquire_many(bytes).await;
        let room = room.map_err(|_| Gone)?;
        if bytes > CONTROL_BYTES && self.shared.count().is_err() {
            self.shared.full.notify_one();
            return Err(Gone);
        }
        self.frames.send(frame).await.map_err(|_| Gone)?;
        // Released by the writer.
        room.forget();
        Ok(())
    }

    /// Counts further bytes as the tenant's.
    pub(super) fn assign(&self, tenant: Arc<str>) {
        self.shared.held().assign(tenant);
        self.shared.counted.store(0, Ordering::Relaxed);
    }

    /// Waits until a frame exceeds the bytes allowed in flight.
    pub(super) async fn full(&self) {
        self.shared.full.notified().await;
    }

    /// Answers a ping. It replaces an unsent answer to an earlier ping, so that frequent pings take
    /// no memory.
    pub(super) async fn pong(&self, text: String) -> Result<(), Gone> {
        let is_queued = self.shared.pong().replace(text).is_some();
        match is_queued {
            true => Ok(()),
            false => self.send(Frame::Pong).await,
        }
    }
}

impl Queued {
    /// Waits for frames and takes all of them; `None` when all senders are dropped.
    pub(super) async fn take(&mut self, into: &mut Vec<Frame>) -> usize {
        self.frames.recv_many(into, QUEUE).await
    }

    /// Returns the bytes that a frame holds in the queue.
    pub(super) fn cost(&self, frame: &Frame) -> usize {
        self.shared.cost(frame)
    }

    /// Releases the bytes of a frame that is written or dropped.
    pub(super) fn written(&self, cost: usize) {
        self.shared.bytes.add_permits(cost);
        // Fewer bytes always fit.
        let _ = self.shared.count();
    }

    /// Takes the answer to the last ping.
    pub(super) fn pong(&self) -> Option<String> {
        self.shared.pong().take()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        // Senders that wait for capacity must not wait for ever.
        self.shared.bytes.close();
    }
}

impl Shared {
    fn cost(&self, frame: &Frame) -> usize {
        frame.len().min(self.limit)
    }

    /// Counts queued bytes as in flight, in steps: most queues are empty most of the time.
    fn count(&self) -> Result<(), Full> {
        let queued = self.limit.saturating_sub(self.bytes.available_permits());
        let counted = match queued > STEP_BYTES {
            true => queued.next_multiple_of(STEP_BYTES),
            false => 0,
        };
        if counted == self.counted.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.held().resize(counted)?;
        self.counted.store(counted, Ordering::Relaxed);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pong(&self) -> MutexGuard<'_, Option<String>> {
        self.pong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::http::in_flight::InFlight;

    fn held() -> Held {
        Arc::new(InFlight::new(1_000_000)).hold("acme".into())
    }

    fn frame(bytes: usize) -> Frame {
        Frame::Own(" ".repeat(bytes))
    }

    #[tokio::test]
    async fn a_queue_has_so_many_bytes() {
        let (outbox, mut queued) = outbox(100, held());
        outbox.send(frame(60)).await.unwrap();
        outbox.send(frame(40)).await.unwrap();
        assert!(outbox.send(frame(1)).now_or_never().is_none(), "it is full");
        let mut ready = Vec::new();
        assert_eq!(queued.take(&mut ready).await, 2);
        assert!(
            outbox.send(frame(1)).now_or_never().is_none(),
            "until written"
        );
        queued.written(queued.cost(&ready[0]));
        outbox.send(frame(60)).await.unwrap();
        queued.written(queued.cost(&ready[1]));
        // Longer than the queue: sent alone.
        assert!(outbox.send(frame(500)).now_or_never().is_none());
        queued.written(60);
        outbox.send(frame(500)).await.unwrap();
        let waiting = outbox.clone();
        let waiting = tokio::spawn(async move { waiting.send(frame(1)).await.is_err() });
        drop(queued);
        assert!(
            waiting.await.unwrap(),
            "no one waits for a writer that is gone"
        );
    }

    #[tokio::test]
    async fn only_the_last_ping_is_answered() {
        let (outbox, mut queued) = outbox(100, held());
        for ping in 0..1_000 {
            outbox.pong(ping.to_string()).await.unwrap();
        }
        let mut ready = Vec::new();
        assert_eq!(queued.take(&mut ready).await, 1);
        assert_eq!(queued.pong().as_deref(), Some("999"));
        outbox.pong("next".to_owned()).await.unwrap();
        assert_eq!(queued.take(&mut ready).await, 1);
        assert_eq!(queued.pong().as_deref(), Some("next"));
    }
}
