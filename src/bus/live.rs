//! One live run: the committed tail of its log, the text so far, and its end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{EventBody, Message, Run, RunEvent, RunId};

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// The run in its final state.
    pub run: Run,
    /// The answer, if there is any text.
    pub message: Option<Message>,
    /// Whether message and answer were taken out of the branch.
    pub withdrawn: bool,
}

/// What a subscriber finds after its place.
#[derive(Debug)]
pub enum Ready {
    /// The next events, in order; never empty.
    Events(Vec<Arc<RunEvent>>),
    /// The next event has left the tail and must be read from the log.
    InLog,
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the run is no longer made here.
    Closed,
}

/// A run that is being made in this process.
pub struct LiveRun {
    id: RunId,
    tail_limit: usize,
    tail: Mutex<Tail>,
    /// The last committed sequence; subscribers wait on it.
    committed: watch::Sender<u64>,
    outcome: OnceLock<Arc<RunOutcome>>,
    cancel: CancellationToken,
    withdrawn: AtomicBool,
    closed: CancellationToken,
}

#[derive(Default)]
struct Tail {
    events: VecDeque<Arc<RunEvent>>,
    /// All text deltas, one after the other.
    text: String,
}

impl LiveRun {
    pub(super) fn new(id: RunId, tail_limit: usize) -> Self {
        Self {
            id,
            tail_limit,
            tail: Mutex::default(),
            committed: watch::Sender::new(0),
            outcome: OnceLock::new(),
            cancel: CancellationToken::new(),
            withdrawn: AtomicBool::new(false),
            closed: CancellationToken::new(),
        }
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Hands committed events to the subscribers.
    pub fn publish(&self, events: &[Arc<RunEvent>]) {
        let Some(last) = events.last().map(|event| event.sequence) else {
            return;
        };
        let mut tail = self.tail();
        for event in events {
            if let EventBody::TextDelta { delta, .. } = &event.body {
                tail.text.push_str(delta);
            }
            tail.events.push_back(Arc::clone(event));
        }
        let over = tail.events.len().saturating_sub(self.tail_limit);
        tail.events.drain(..over);
        drop(tail);
        self.committed.send_replace(last);
    }

    /// The events after `after`, at most `limit`.
    pub fn ready(&self, after: u64, limit: usize) -> Ready {
        // Read before the tail: what was published before the end is then in the tail.
        let closed = self.closed.is_cancelled();
        let tail = self.tail();
        let Some(last) = tail.events.back().filter(|last| last.sequence > after) else {
            return if closed {
                Ready::Closed
            } else {
                Ready::Nothing
            };
        };
        let behind = usize::try_from(last.sequence - after).unwrap_or(usize::MAX);
        let Some(skip) = tail.events.len().checked_sub(behind) else {
            return Ready::InLog;
        };
        Ready::Events(tail.events.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Waits until there is something after `after`, or the run is closed.
    pub async fn wait(&self, after: u64) {
        let mut committed = self.committed.subscribe();
        tokio::select! {
            // The sender lives as long as self.
            _ = committed.wait_for(|last| *last > after) => {}
            () = self.closed.cancelled() => {}
        }
    }

    /// The sequence of the last committed event; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        *self.committed.borrow()
    }

    /// The first `end` bytes of the answer's text, or all of it if it is shorter.
    pub fn text_until(&self, end: u64) -> String {
        let tail = self.tail();
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        tail.text.get(..end).unwrap_or(&tail.text).to_owned()
    }

    /// How many bytes of text are committed.
    pub fn text_len(&self) -> usize {
        self.tail().text.len()
    }

    /// Says how the run ended. Called once, before its last event is published.
    pub fn set_outcome(&self, outcome: RunOutcome) {
        // A second outcome cannot happen; the first would stand.
        let _ = self.outcome.set(Arc::new(outcome));
    }

    /// How the run ended, if it has.
    pub fn outcome(&self) -> Option<Arc<RunOutcome>> {
        self.outcome.get().cloned()
    }

    /// Waits for the run's end. `None` when it could not be ended here, for example
    /// because the database is gone.
    pub async fn finished(&self) -> Option<Arc<RunOutcome>> {
        self.closed.cancelled().await;
        self.outcome()
    }

    /// Is cancelled when the run shall stop.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Stops the run, and has its message and answer taken out of the branch, unless it
    /// comes to its own end first.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    /// Whether it was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MessageId, time::now};

    fn delta(run_id: RunId, sequence: u64, delta: &str) -> Arc<RunEvent> {
        Arc::new(RunEvent {
            run_id,
            sequence,
            at: now(),
            body: EventBody::TextDelta {
                message_id: MessageId::new(),
                delta: delta.to_owned(),
                end: 0,
            },
        })
    }

    #[test]
    fn a_subscriber_reads_from_its_own_place() {
        let live = LiveRun::new(RunId::new(), 3);
        assert!(matches!(live.ready(0, 9), Ready::Nothing));
        let events: Vec<_> = (1..=4).map(|n| delta(live.id, n, "é")).collect();
        live.publish(&events);
        assert!(matches!(live.ready(0, 9), Ready::InLog));
        let Ready::Events(ready) = live.ready(1, 2) else {
            panic!()
        };
        assert_eq!(ready.iter().map(|e| e.sequence).collect::<Vec<_>>(), [2, 3]);
        assert!(matches!(live.ready(4, 9), Ready::Nothing));
        live.close();
        assert!(matches!(live.ready(4, 9), Ready::Closed));
        assert!(matches!(live.ready(3, 9), Ready::Events(_)));
    }

    #[test]
    fn the_text_so_far_is_cut_where_the_event_ended() {
        let live = LiveRun::new(RunId::new(), 3);
        live.publish(&[delta(live.id, 1, "né"), delta(live.id, 2, "e")]);
        assert_eq!(live.text_until(3), "né");
        assert_eq!(live.text_until(99), "née");
    }
}
