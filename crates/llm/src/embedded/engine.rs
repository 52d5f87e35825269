//! The engine's threads and the queue in front of them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::mpsc::{Receiver, channel};

use super::error::EmbeddedError;
use super::generation::{Answering, Loaded};
use crate::{ChatRequest, StreamPart};

/// Parts of an answer besides one per token: the last half character, usage, finish.
const CLOSING_PARTS: usize = 3;

/// The answers in progress beyond one for each thread. Each holds the keys and values of its
/// tokens, 94 MB for 2,048; with fewer, a short prompt behind long ones would wait for their end.
const MORE_ANSWERS: usize = 2;

/// Threads that generate, turn by turn, what is in a bounded queue. They end when the engine is
/// dropped and the answers already queued are done or unwanted.
pub(crate) struct Engine {
    loaded: Arc<Loaded>,
    queue: Arc<Queue>,
    /// Answers in progress and requests that wait, together.
    admitted: usize,
    queue_limit: usize,
}

impl Engine {
    /// Starts `threads` threads. They are threads of their own, not of the async runtime, since
    /// a token keeps a core busy for 20–30 ms.
    pub(crate) fn start(
        loaded: Loaded,
        threads: usize,
        queue_limit: usize,
    ) -> Result<Self, EmbeddedError> {
        let loaded = Arc::new(loaded);
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            answers: threads + MORE_ANSWERS,
        });
        for index in 0..threads {
            let (loaded, queue) = (Arc::clone(&loaded), Arc::clone(&queue));
            thread::Builder::new()
                .name(format!("embedded-{index}"))
                .spawn(move || work(&loaded, &queue))
                .map_err(|error| EmbeddedError::Compute(error.to_string()))?;
        }
        Ok(Self {
            loaded,
            queue,
            admitted: threads.saturating_add(queue_limit),
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
        let mut state = self.queue.lock();
        if state.waiting.len() + state.in_progress >= self.admitted {
            return Err(EmbeddedError::Busy {
                limit: self.queue_limit,
            });
        }
        state.waiting.push_back(Answering::new(request, parts));
        drop(state);
        self.queue.changed.notify_one();
        Ok(receiver)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

/// What the threads have to do.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// The most answers in progress.
    answers: usize,
}

#[derive(Default)]
struct State {
    /// Requests that no thread has taken up yet.
    waiting: VecDeque<Answering>,
    /// Answers in progress whose next turn no thread has taken.
    ready: VecDeque<Answering>,
    /// All answers in progress.
    in_progress: usize,
    is_closed: bool,
}

impl Queue {
    /// A poisoned lock is used on: the state is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next turn. A new request comes before further turns of those in progress,
    /// of which there are few. None once the engine is dropped and nothing is left.
    fn next(&self) -> Option<Answering> {
        let mut state = self.lock();
        loop {
            if state.in_progress < self.answers
                && let Some(answering) = state.waiting.pop_front()
            {
                state.in_progress += 1;
                return Some(answering);
            }
            if let Some(answering) = state.ready.pop_front() {
                return Some(answering);
            }
            if state.is_closed && state.in_progress == 0 {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn again(&self, answering: Answering) {
        self.lock().ready.push_back(answering);
        self.changed.notify_one();
    }

    fn ended(&self) {
        self.lock().in_progress -= 1;
        // Also those that wait for the last answer before they end.
        self.changed.notify_all();
    }
}

/// One thread's life: a turn at a time until the engine is dropped.
fn work(loaded: &Loaded, queue: &Queue) {
    while let Some(mut answering) = queue.next() {
        // The library may panic on what it takes for a bug. That must cost one answer,
        // not this thread, with which every later request would hang.
        let turn = catch_unwind(AssertUnwindSafe(|| loaded.turn(&mut answering)));
        match turn {
            Ok(true) => queue.again(answering),
            Ok(false) => queue.ended(),
            Err(_) => {
                answering.fail(EmbeddedError::Compute("the library panicked".to_owned()));
                queue.ended();
            }
        }
    }
}
