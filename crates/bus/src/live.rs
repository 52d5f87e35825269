//! One live run: the committed tail of its log, the text so far, and its end.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use talkgraph_domain::{EventBody, Message, Run, RunEvent, RunId, StepPurpose};

/// The outcome of a run.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// The run in its final state.
    pub run: Run,
    /// The answer, if there is any text.
    pub message: Option<Message>,
    /// True if message and answer were removed from the branch.
    pub withdrawn: bool,
}

/// The state of the tail after a subscriber's position.
#[derive(Debug)]
pub enum Ready {
    /// The next events, in order; never empty.
    Events(Vec<Arc<RunEvent>>),
    /// The next event has left the tail and must be read from the log.
    InLog,
    /// No event for now.
    Nothing,
    /// The end of this tail: the run no longer executes here.
    Closed,
}

/// A run that executes in this process.
pub struct LiveRun {
    id: RunId,
    /// The span of all logging about the run, on any task.
    span: Span,
    tail_limit: usize,
    tail: Mutex<Tail>,
    /// Notified when there are more events, or the run is closed.
    changed: Notify,
    outcome: OnceLock<Arc<RunOutcome>>,
    cancel: CancellationToken,
    withdrawn: AtomicBool,
    release: CancellationToken,
    closed: CancellationToken,
    /// The same, for a cheap check: a token has a lock.
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Tail {
    events: VecDeque<Arc<RunEvent>>,
    /// The last committed sequence.
    last: u64,
    /// The answer's text up to that sequence.
    text: String,
    /// The length of the text at the start of the current step.
    step_start: usize,
    /// The sequence from which on every event's text is a prefix of `text`.
    text_from: u64,
}

impl Tail {
    fn push(&mut self, event: &Arc<RunEvent>) {
        match &event.body {
            EventBody::TextDelta { delta, .. } => self.text.push_str(delta),
            EventBody::StepRestarted { .. }
            | EventBody::StepStarted {
                purpose: StepPurpose::Repair,
                ..
            } => {
                self.text.truncate(self.step_start);
                self.text_from = event.sequence;
            }
            EventBody::StepStarted { .. } => self.step_start = self.text.len(),
            _ => {}
        }
        self.last = event.sequence;
        self.events.push_back(Arc::clone(event));
    }
}

impl LiveRun {
    pub(super) fn new(id: RunId, tail_limit: usize, cancel: CancellationToken, span: Span) -> Self {
        Self {
            id,
            span,
            tail_limit,
            tail: Mutex::default(),
            changed: Notify::new(),
            outcome: OnceLock::new(),
            cancel,
            withdrawn: AtomicBool::new(false),
            release: CancellationToken::new(),
            closed: CancellationToken::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The span of all logging about the run.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Initialises a run that is taken over from its log: the last sequence and the answer's text
    /// up to it, `step_start` bytes of which precede the current step. Called once, before any
    /// event is published.
    pub fn seed(&self, last: u64, text: String, step_start: usize) {
        let mut tail = self.tail();
        tail.last = last;
        tail.text = text;
        tail.step_start = step_start;
        tail.text_from = last + 1;
        drop(tail);
        self.changed.notify_waiters();
    }

    /// Publishes committed events to the subscribers.
    pub fn publish(&self, events: &[Arc<RunEvent>]) {
        if events.is_empty() {
            return;
        }
        let mut tail = self.tail();
        events.iter().for_each(|event| tail.push(event));
        let over = tail.events.len().saturating_sub(self.tail_limit);
        tail.events.drain(..over);
        drop(tail);
        self.changed.notify_waiters();
    }

    /// The events after `after`, at most `limit`.
    pub fn ready(&self, after: u64, limit: usize) -> Ready {
        let tail = self.tail();
        let Some(behind) = tail.last.checked_sub(after).filter(|behind| *behind > 0) else {
            // No event is published while the tail is locked, nor after the end.
            return match self.is_closed.load(Ordering::Acquire) {
                true => Ready::Closed,
                false => Ready::Nothing,
            };
        };
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let Some(skip) = tail.events.len().checked_sub(behind) else {
            return Ready::InLog;
        };
        Ready::Events(tail.events.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Waits until there is an event after `after`, or the run is closed.
    pub async fn wait(&self, after: u64) {
        let mut changed = pin!(self.changed.notified());
        // Enabled before the check, so that no event is missed in between.
        changed.as_mut().enable();
        if self.last_sequence() <= after && !self.is_closed.load(Ordering::Acquire) {
            changed.await;
        }
    }

    /// The sequence of the last committed event; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.tail().last
    }

    /// The answer's text at the event `sequence`, whose text ends at the byte `end`; none if that
    /// event is not committed, or if the step was repeated since.
    pub fn text_at(&self, sequence: u64, end: u64) -> Option<String> {
        let tail = self.tail();
        if sequence < tail.text_from || sequence > tail.last {
            return None;
        }
        let end = usize::try_from(end).ok()?;
        tail.text.get(..end).map(ToOwned::to_owned)
    }

    /// Sets the outcome. Called once, before the last event is published.
    pub fn set_outcome(&self, outcome: RunOutcome) {
        // A second outcome cannot happen; the first would be kept.
        let _ = self.outcome.set(Arc::new(outcome));
    }

    /// The outcome, if the run has ended.
    pub fn outcome(&self) -> Option<Arc<RunOutcome>> {
        self.outcome.get().cloned()
    }

    /// Waits for the run's end. `None` when it could not be ended here, for example because the
    /// database is unavailable.
    pub async fn finished(&self) -> Option<Arc<RunOutcome>> {
        self.closed.cancelled().await;
        self.outcome()
    }

    /// Cancelled when the run is to stop.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Cancels the run, and has its message and answer removed from the branch, unless it ends by
    /// itself first.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    /// Returns true if it was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Cancelled when this process is to leave the run to another one.
    pub fn release_token(&self) -> &CancellationToken {
        &self.release
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.closed.cancel();
        self.changed.notify_waiters();
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use talkgraph_domain::{MessageId, time::now};

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
            first_sequence: sequence,
        })
    }

    #[test]
    fn subscribers_read_from_their_own_positions() {
        let live = LiveRun::new(RunId::new(), 3, CancellationToken::new(), Span::none());
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
        let live = LiveRun::new(RunId::new(), 3, CancellationToken::new(), Span::none());
        live.publish(&[delta(live.id, 1, "né"), delta(live.id, 2, "e")]);
        assert_eq!(live.text_at(1, 3).as_deref(), Some("né"));
        assert_eq!(live.text_at(3, 3), None, "not committed");
        assert_eq!(live.text_at(2, 99), None);
    }

    #[test]
    fn taken_over_run_is_seeded_from_its_log() {
        let live = LiveRun::new(RunId::new(), 3, CancellationToken::new(), Span::none());
        live.seed(4, "kept lost".into(), 5);
        assert!(matches!(live.ready(2, 9), Ready::InLog));
        assert!(matches!(live.ready(4, 9), Ready::Nothing));
        assert_eq!(
            live.text_at(4, 9),
            None,
            "only the log knows what was before"
        );
        let restarted = RunEvent {
            body: EventBody::StepRestarted {
                step: 2,
                discard_after: 2,
            },
            ..RunEvent::clone(&delta(live.id, 5, ""))
        };
        live.publish(&[restarted.into(), delta(live.id, 6, "new")]);
        assert_eq!(live.text_at(6, 8).as_deref(), Some("kept new"));
        assert!(matches!(live.ready(4, 9), Ready::Events(events) if events.len() == 2));
    }
}
