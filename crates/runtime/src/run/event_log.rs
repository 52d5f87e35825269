//! A run's own end of its event log: numbers events and queues them for the group commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tracing::Span;

use talkgraph_bus::LiveRun;
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{EventBody, Interrupt, NodeId, Principal, RunEvent, RunId};
use talkgraph_store::{NewEvents, SharedStore, StoreError};

use crate::run::store_retry::Pauses;
use crate::spec::limits::RunLimits;

/// How many events of a log are read at once.
pub(crate) const LOG_PAGE: u32 = 1_000;

/// How often the log is asked for more when the run is being made by another process.
pub(crate) const POLL: Duration = Duration::from_millis(500);

/// Why a run's log takes no more.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    /// Another node has the run by now.
    #[error("another server has taken the run over")]
    Lost,
    /// The database was away for longer than the run may wait.
    #[error("the database was away for too long: {0}")]
    Outage(String),
    /// It has grown as large as it may.
    #[error("the log grew past its limit: {0}")]
    Full(String),
    /// The database refuses the events.
    #[error("the events were refused: {0}")]
    Refused(String),
}

/// What events change about their run.
#[derive(Debug, Clone, Default)]
pub(crate) enum Change {
    /// Nothing.
    #[default]
    None,
    /// It begins to be made.
    Begins(Timestamp),
    /// It waits for these from here on.
    Awaits(Vec<Interrupt>),
}

/// Numbers the events of one run. Only its executor has one.
pub(crate) struct RunLog {
    store: SharedStore,
    who: Principal,
    node: NodeId,
    /// The number under which this node has the run.
    fence: i64,
    live: Arc<LiveRun>,
    next: u64,
    /// What was queued last, until it is known to be committed.
    unsettled: Vec<Arc<RunEvent>>,
    /// What changes with what is unsettled.
    change: Change,
    /// Whether something queued could not be written; what follows is refused then.
    broken: Arc<AtomicBool>,
    /// Told when something queued could not be written.
    failed: Arc<Notify>,
    /// One permit, which belongs to what is queued until it is committed or refused.
    turn: Arc<Semaphore>,
    /// How long a run waits for a database that is away.
    patience: Duration,
    /// The limits of its size.
    bounds: LogBounds,
    /// About as many bytes as it has.
    bytes: u64,
}

/// The limits of the size of a run's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogBounds {
    /// The most events.
    pub(crate) events: u64,
    /// The most bytes, about.
    pub(crate) bytes: u64,
}

impl LogBounds {
    pub(crate) fn of(limits: &RunLimits) -> Self {
        Self {
            events: limits.log_events,
            bytes: limits.log_bytes,
        }
    }
}

impl RunLog {
    /// The log of a run whose events up to `last` are committed.
    pub(crate) fn new(
        store: SharedStore,
        who: Principal,
        (node, fence): (NodeId, i64),
        live: Arc<LiveRun>,
        last: u64,
        patience: Duration,
        bounds: LogBounds,
    ) -> Self {
        Self {
            store,
            who,
            node,
            fence,
            live,
            next: last + 1,
            unsettled: Vec::new(),
            change: Change::None,
            broken: Arc::default(),
            failed: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            patience,
            bounds,
            bytes: 0,
        }
    }

    /// Counts what the log has already.
    pub(crate) fn count<'a>(&mut self, bodies: impl IntoIterator<Item = &'a EventBody>) {
        let bytes = bodies.into_iter().map(EventBody::bytes);
        self.bytes = bytes.fold(self.bytes, u64::saturating_add);
    }

    /// Checks that it may grow. Existing events are kept, and the run's end has room.
    fn check_size(&self) -> Result<(), LogError> {
        let LogBounds { events, bytes } = self.bounds;
        if self.bytes > bytes {
            let why = format!("the run's log grew past {bytes} bytes (runs.log_bytes)");
            return Err(LogError::Full(why));
        }
        if self.next > events {
            let why = format!("the run's log grew past {events} events (runs.log_events)");
            return Err(LogError::Full(why));
        }
        Ok(())
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// The sequence of the last event that has one.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Gives events their numbers.
    pub(crate) fn number(&mut self, bodies: Vec<EventBody>) -> Vec<Arc<RunEvent>> {
        let events = numbered(self.live.id(), self.next, now(), bodies);
        self.next += events.len() as u64;
        events
    }

    /// Waits until nothing that was queued waits for its commit.
    pub(crate) async fn caught_up(&self) {
        // Given back at once: only the next append takes it, and only this run appends.
        drop(self.turn.acquire().await);
    }

    /// Waits until something that was queued could not be written.
    pub(crate) async fn failed(&self) {
        self.failed.notified().await;
    }

    /// Waits until the log takes no more.
    pub(crate) async fn refused(&mut self) -> LogError {
        loop {
            self.failed().await;
            if let Err(error) = self.settle().await {
                return error;
            }
        }
    }

    /// Queues events; once committed they go to the subscribers, in order, without the run
    /// having to wait for it. Waits only for what was queued before, and for a database that
    /// is away.
    pub(crate) async fn append(
        &mut self,
        bodies: Vec<EventBody>,
        change: Change,
    ) -> Result<(), LogError> {
        self.settle().await?;
        if bodies.is_empty() {
            return Ok(());
        }
        self.count(&bodies);
        self.unsettled = self.number(bodies);
        self.change = change;
        self.queue(false).await;
        match self.change {
            Change::None => self.check_size(),
            // The run has another state with these.
            Change::Begins(_) | Change::Awaits(_) => Ok(()),
        }
    }

    /// Waits until all that was queued is committed. What could not be written is written
    /// again, for as long as a run may wait for the database.
    pub(crate) async fn settle(&mut self) -> Result<(), LogError> {
        self.caught_up().await;
        let deadline = Instant::now() + self.patience;
        let (mut pauses, mut refused) = (Pauses::new(), 0);
        while self.is_broken() {
            match self.rewrite().await {
                Ok(()) => {}
                // The first time another write of this run may just have come through.
                Err(StoreError::Conflict) if refused == 0 => refused += 1,
                Err(StoreError::Conflict | StoreError::Fenced) => return Err(LogError::Lost),
                Err(StoreError::Unavailable(why)) if Instant::now() >= deadline => {
                    return Err(LogError::Outage(why));
                }
                Err(StoreError::Unavailable(_)) => pauses.pause().await,
                Err(error) => return Err(LogError::Refused(error.to_string())),
            }
        }
        self.unsettled.clear();
        Ok(())
    }

    /// Reads what the log has after all and writes the rest once more, under the same numbers.
    async fn rewrite(&mut self) -> Result<(), StoreError> {
        self.resync().await?;
        self.broken.store(false, Ordering::Release);
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let outcome = self.queue(true).await;
        self.caught_up().await;
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable("the store is closed".to_owned())),
        }
    }

    /// Queues what is unsettled.
    async fn queue(
        &mut self,
        mends_log: bool,
    ) -> tokio::sync::oneshot::Receiver<Result<(), StoreError>> {
        let (reply, outcome) = tokio::sync::oneshot::channel();
        let (live, broken, failed, committed) = (
            Arc::clone(&self.live),
            Arc::clone(&self.broken),
            Arc::clone(&self.failed),
            self.unsettled.clone(),
        );
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let done = Box::new(move |outcome: Result<(), StoreError>| {
            match &outcome {
                Ok(()) => live.publish(&committed),
                Err(error) => {
                    log_failure(live.span(), error, "events were not written");
                    broken.store(true, Ordering::Release);
                    failed.notify_one();
                }
            }
            // Nobody waits for it but a rewrite.
            let _ = reply.send(outcome);
            // Goes with the closure even if that is dropped unasked.
            drop(turn);
        });
        let (started_at, awaits) = match &self.change {
            Change::None => (None, Vec::new()),
            Change::Begins(at) => (Some(*at), Vec::new()),
            Change::Awaits(interrupts) => (None, interrupts.clone()),
        };
        let new = NewEvents {
            who: self.who.clone(),
            node: self.node,
            fence: self.fence,
            events: self.unsettled.clone(),
            started_at,
            awaits,
            mends_log,
        };
        if let Err(error) = self.store.append_events(new, done).await {
            log_failure(self.live.span(), &error, "events were not queued");
            self.broken.store(true, Ordering::Release);
            self.failed.notify_one();
        }
        outcome
    }

    /// After a failed write: learns what is in the log after all (a commit may succeed
    /// though its answer is lost), tells the subscribers, and goes on numbering from there.
    /// `Fenced` if another node has the run by now.
    async fn resync(&mut self) -> Result<(), StoreError> {
        loop {
            let last = self.live.last_sequence();
            let missed = self
                .store
                .events(&self.who, self.live.id(), last, 1_000)
                .await?;
            // Asked after it was read: what another node has written is not this run's own.
            let (node, fence) = (self.node, self.fence);
            if !self.store.has_run(self.live.id(), node, fence).await? {
                return Err(StoreError::Fenced);
            }
            if missed.is_empty() {
                self.unsettled.retain(|event| event.sequence > last);
                self.next = last + 1 + self.unsettled.len() as u64;
                return Ok(());
            }
            let missed: Vec<_> = missed.into_iter().map(Arc::new).collect();
            self.live.publish(&missed);
        }
    }

    /// What the log still lacks, to be written together with the run's end.
    pub(crate) async fn take_lost(&mut self) -> Result<Vec<EventBody>, StoreError> {
        self.resync().await?;
        self.next = self.live.last_sequence() + 1;
        Ok(self
            .unsettled
            .iter()
            .map(|event| event.body.clone())
            .collect())
    }
}

/// While the database is away that is said once for all runs (`store/outage`).
fn log_failure(span: &Span, error: &StoreError, failed: &str) {
    match error {
        StoreError::Unavailable(_) => tracing::debug!(parent: span, %error, "{failed}"),
        // A run that is another node's by now says so itself, once.
        StoreError::Conflict => {}
        _ => tracing::warn!(parent: span, %error, "{failed}"),
    }
}

/// Events with the sequences from `first` on.
pub(crate) fn numbered(
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
                first_sequence: sequence,
                at,
                body,
            })
        })
        .collect()
}
