//! A run's own end of its event log: numbers events and queues them for the group commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use crate::bus::LiveRun;
use crate::domain::time::{Timestamp, now};
use crate::domain::{EventBody, Principal, RunEvent, RunId};
use crate::store::{NewEvents, SharedStore, StoreError};

/// Numbers the events of one run. Only its executor has one.
pub(super) struct RunLog {
    store: SharedStore,
    who: Principal,
    live: Arc<LiveRun>,
    next: u64,
    /// Whether something queued could not be written; what follows is refused then.
    broken: Arc<AtomicBool>,
    /// One permit, which belongs to what is queued until it is committed or refused.
    turn: Arc<Semaphore>,
}

impl RunLog {
    /// The log of a run whose events up to `last` are committed.
    pub(super) fn new(store: SharedStore, who: Principal, live: Arc<LiveRun>, last: u64) -> Self {
        Self {
            store,
            who,
            live,
            next: last + 1,
            broken: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Gives events their numbers.
    pub(super) fn number(&mut self, bodies: Vec<EventBody>) -> Vec<Arc<RunEvent>> {
        let events = numbered(self.live.id(), self.next, now(), bodies);
        self.next += events.len() as u64;
        events
    }

    /// Waits until nothing that was queued waits for its commit.
    pub(super) async fn caught_up(&self) {
        // Given back at once: only the next append takes it, and only this run appends.
        drop(self.turn.acquire().await);
    }

    /// Queues events; once committed they go to the subscribers, in order, without the run
    /// having to wait for it.
    pub(super) async fn append(
        &mut self,
        bodies: Vec<EventBody>,
        started_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        if bodies.is_empty() {
            return Ok(());
        }
        let events = self.number(bodies);
        let (live, broken, committed) = (
            Arc::clone(&self.live),
            Arc::clone(&self.broken),
            events.clone(),
        );
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let done = Box::new(move |outcome: Result<(), StoreError>| {
            match outcome {
                Ok(()) => live.publish(&committed),
                Err(error) => {
                    tracing::error!(run = %live.id(), %error, "events were not written");
                    broken.store(true, Ordering::Release);
                }
            }
            // Goes with the closure even if that is dropped unasked.
            drop(turn);
        });
        let new = NewEvents {
            who: self.who.clone(),
            events,
            started_at,
        };
        let queued = self.store.append_events(new, done).await;
        if queued.is_err() {
            self.broken.store(true, Ordering::Release);
        }
        queued
    }

    /// After a failed write: learns what is in the log after all (a commit may succeed
    /// though its answer is lost), tells the subscribers, and goes on numbering from there.
    pub(super) async fn resync(&mut self) -> Result<(), StoreError> {
        loop {
            let last = self.live.last_sequence();
            let missed = self
                .store
                .events(&self.who, self.live.id(), last, 1_000)
                .await?;
            if missed.is_empty() {
                self.next = last + 1;
                return Ok(());
            }
            let missed: Vec<_> = missed.into_iter().map(Arc::new).collect();
            self.live.publish(&missed);
        }
    }
}

/// Events with the sequences from `first` on.
pub(super) fn numbered(
    run_id: RunId,
    first: u64,
    at: Timestamp,
    bodies: Vec<EventBody>,
) -> Vec<Arc<RunEvent>> {
    (first..)
        .zip(bodies)
        .map(|(sequence, body)| {
            Arc::new(RunEvent {
                run_id,
                sequence,
                at,
                body,
            })
        })
        .collect()
}
