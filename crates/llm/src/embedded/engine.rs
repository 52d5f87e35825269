//! The engine's threads and the queue in front of them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::mpsc::{Receiver, channel};

use super::error::EmbeddedError;
use super::generation::{Answering, Loaded};
use crate::{ChatRequest, StreamPart};

/// The parts of an answer in addition to one per token: the last half character, usage, finish.
const CLOSING_PARTS: usize = 3;

/// The number of active answers in addition to one for each thread. Each holds the keys and values
/// of its tokens, 94 MB for 2,048; with fewer, a short prompt behind long ones would wait for their
/// end.
const MORE_ANSWERS: usize = 2;

/// Threads that generate the answers of a bounded queue in turns. They end when the engine is
/// dropped and the queued answers are complete or cancelled.
pub(crate) struct Engine {
    loaded: Arc<Loaded>,
    queue: Arc<Queue>,
    /// Active answers and waiting requests together.
    admitted: usize,
    queue_limit: usize,
}

impl Engine {
    /// Starts `threads` threads. They are separate from the async runtime, since a token keeps a
    /// core busy for 20–30 ms.
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

/// The work of the threads.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// The maximum number of active answers.
    answers: usize,
}

#[derive(Default)]
struct State {
    /// Requests that no thread has started.
    waiting: VecDeque<Answering>,
    /// Active answers whose next turn is free.
    ready: VecDeque<Answering>,
    /// The number of active answers.
    in_progress: usize,
    is_closed: bool,
}

impl Queue {
    /// Ignores poisoning: the state is consistent between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next turn. A new request precedes further turns of active answers, of which
    /// there are few. None once the engine is dropped and no work is left.
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
        // Also wakes threads that wait for the last answer before they end.
        self.changed.notify_all();
    }
}

/// One thread's life: a turn at a time until the engine is dropped.
fn work(loaded: &Loaded, queue: &Queue) {
    while let Some(mut answering) = queue.next() {
        // The library may panic on a suspected bug. That must fail one answer, not this thread,
        // without which every later request would hang.
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
