//! The engine's threads and the queue in front of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver as QueueReceiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc::{Receiver, channel};

use super::error::EmbeddedError;
use super::generation::{Loaded, PartSender};
use crate::llm::{ChatRequest, StreamPart};

/// Parts of an answer besides one per token: the last half character, usage, finish.
const CLOSING_PARTS: usize = 3;

/// Threads that generate, fed by a bounded queue. They end when the engine is dropped
/// and the answers already queued are done or unwanted.
pub(crate) struct Engine {
    loaded: Arc<Loaded>,
    queue: SyncSender<Job>,
    queue_limit: usize,
}

struct Job {
    request: ChatRequest,
    parts: PartSender,
}

impl Engine {
    /// Starts `threads` threads, each making one answer at a time. They are threads of
    /// their own, not of the async runtime, since a token keeps a core busy for 20–30 ms.
    pub(crate) fn start(
        loaded: Loaded,
        threads: usize,
        queue_limit: usize,
    ) -> Result<Self, EmbeddedError> {
        let loaded = Arc::new(loaded);
        let (queue, jobs) = mpsc::sync_channel(queue_limit);
        let jobs = Arc::new(Mutex::new(jobs));
        for index in 0..threads {
            let (loaded, jobs) = (Arc::clone(&loaded), Arc::clone(&jobs));
            thread::Builder::new()
                .name(format!("embedded-{index}"))
                .spawn(move || work(&loaded, &jobs))
                .map_err(|error| EmbeddedError::Compute(error.to_string()))?;
        }
        Ok(Self {
            loaded,
            queue,
            queue_limit,
        })
    }

    pub(crate) fn count_tokens(&self, text: &str) -> Option<usize> {
        let tokens = self.loaded.tokenizer.encode(text).ok()?;
        Some(tokens.len())
    }

    /// Queues a request without waiting.
    pub(crate) fn submit(
        &self,
        request: ChatRequest,
    ) -> Result<Receiver<Result<StreamPart, EmbeddedError>>, EmbeddedError> {
        self.loaded.check_length(&request)?;
        let (parts, receiver) = channel(self.loaded.answer_limit(&request) + CLOSING_PARTS);
        match self.queue.try_send(Job { request, parts }) {
            Ok(()) => Ok(receiver),
            Err(TrySendError::Full(_)) => Err(EmbeddedError::Busy {
                limit: self.queue_limit,
            }),
            Err(TrySendError::Disconnected(_)) => Err(EmbeddedError::Stopped),
        }
    }
}

/// One thread's life: a job at a time until the engine is dropped.
fn work(loaded: &Loaded, jobs: &Mutex<QueueReceiver<Job>>) {
    loop {
        // The lock is held only while waiting for a job, so idle threads take turns.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { request, parts }) = job else {
            return;
        };
        if parts.is_closed() {
            continue;
        }
        // The library may panic on what it takes for a bug. That must cost one answer,
        // not this thread, with which every later request would hang.
        let answered = catch_unwind(AssertUnwindSafe(|| loaded.answer(&request, &parts)));
        if answered.is_err() {
            let error = EmbeddedError::Compute("the library panicked".to_owned());
            let _ = parts.try_send(Err(error));
        }
    }
}
