//! The active operations of a socket by id; they decide which messages are still written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// The active operations of a socket. One is active from its start until its last message is
/// written or the client stops it. Afterwards no message of it is written, so that the next
/// operation with its id is not confused with it.
#[derive(Default)]
pub(super) struct Running(Mutex<HashMap<Arc<str>, Live>>);

struct Live {
    ticket: Arc<Ticket>,
    task: AbortHandle,
}

/// The right of an operation to write messages.
pub(super) struct Ticket {
    pub(super) id: Arc<str>,
    stopped: AtomicBool,
}

/// The reason for which an operation is not started.
pub(super) enum Refused {
    Duplicate,
    TooMany(usize),
}

impl Running {
    /// Starts an operation unless there are `limit`; with `replaces`, an active one with its id is
    /// stopped first.
    pub(super) fn start(
        &self,
        id: &str,
        limit: usize,
        replaces: bool,
        spawn: impl FnOnce(Arc<Ticket>) -> AbortHandle,
    ) -> Result<(), Refused> {
        let mut operations = self.lock();
        match operations.remove(id) {
            Some(live) if replaces => live.stop(),
            Some(live) => {
                operations.insert(Arc::clone(&live.ticket.id), live);
                return Err(Refused::Duplicate);
            }
            None => {}
        }
        if operations.len() >= limit {
            return Err(Refused::TooMany(limit));
        }
        let id: Arc<str> = id.into();
        let ticket = Arc::new(Ticket {
            id: Arc::clone(&id),
            stopped: AtomicBool::new(false),
        });
        // Under the lock: it cannot end before it is registered.
        let task = spawn(Arc::clone(&ticket));
        operations.insert(id, Live { ticket, task });
        Ok(())
    }

    /// Stops an operation; returns false if there is none.
    pub(super) fn stop(&self, id: &str) -> bool {
        let stopped = self.lock().remove(id);
        stopped.as_ref().map(Live::stop).is_some()
    }

    /// Stops all operations; their messages are no longer written.
    pub(super) fn stop_all(&self) {
        for (_, live) in self.lock().drain() {
            live.stop();
        }
    }

    /// Ends all operations; their queued messages are still written.
    pub(super) fn end_all(&self) {
        for live in self.lock().values() {
            live.task.abort();
        }
    }

    /// Frees the id of an operation before its last message is written; returns false if it was no
    /// longer its own.
    pub(super) fn free(&self, ticket: &Arc<Ticket>) -> bool {
        let mut operations = self.lock();
        let live = operations.get(&ticket.id);
        let own = live.is_some_and(|live| Arc::ptr_eq(&live.ticket, ticket));
        if own {
            operations.remove(&ticket.id);
        }
        own
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn stop(&self) {
        self.ticket.stopped.store(true, Ordering::Release);
        self.task.abort();
    }
}

impl Ticket {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}
