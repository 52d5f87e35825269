//! The event log of one run, for its writer: numbers events and queues them for the group commit.

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

use crate::run::store_retry::StoreBackoff;
use crate::spec::limits::RunLimits;

/// The number of events read from a log at once.
pub(crate) const LOG_PAGE: u32 = 1_000;

/// The interval at which the log of a run on another node is read.
pub(crate) const POLL: Duration = Duration::from_millis(500);

/// The reason for which a run's log accepts no more events.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    /// Another node holds the run.
    #[error("another server has taken the run over")]
    Lost,
    /// The database was unavailable for longer than the limit.
    #[error("the database was away for too long: {0}")]
    Outage(String),
    /// The log has reached its limit.
    #[error("the log grew past its limit: {0}")]
    Full(String),
    /// The database rejected the events.
    #[error("the events were refused: {0}")]
    Refused(String),
}

/// The change of the run's state that events bring.
#[derive(Debug, Clone, Default)]
pub(crate) enum StateChange {
    /// No change.
    #[default]
    None,
    /// The run starts.
    Begins(Timestamp),
    /// The run waits for these interrupts.
    Awaits(Vec<Interrupt>),
}

/// Numbers and writes the events of one run. Only its executor has one.
pub(crate) struct RunLog {
    store: SharedStore,
    who: Principal,
    node: NodeId,
    /// The number under which this node holds the run.
    fence: i64,
    live: Arc<LiveRun>,
    next: u64,
    /// The events of the last write, until it is known to be committed.
    uncommitted: Vec<Arc<RunEvent>>,
    /// The state change of the uncommitted events.
    change: StateChange,
    /// True after a failed write; later writes are refused.
    broken: Arc<AtomicBool>,
    /// Notified after a failed write.
    failed: Arc<Notify>,
    /// One permit, held by a write until it is committed or refused.
    write_permit: Arc<Semaphore>,
    /// The longest time for which a run waits for an unavailable database.
    outage_limit: Duration,
    /// The limits of its size.
    bounds: LogBounds,
    /// The approximate size, in bytes.
    bytes: u64,
}

/// The limits of the size of a run's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogBounds {
    /// The most events.
    pub(crate) events: u64,
    /// The most bytes, approximately.
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
    /// Opens the log of a run whose events up to `last` are committed.
    pub(crate) fn new(
        store: SharedStore,
        who: Principal,
        (node, fence): (NodeId, i64),
        live: Arc<LiveRun>,
        last: u64,
        outage_limit: Duration,
        bounds: LogBounds,
    ) -> Self {
        Self {
            store,
            who,
            node,
            fence,
            live,
            next: last + 1,
            uncommitted: Vec::new(),
            change: StateChange::None,
            broken: Arc::default(),
            failed: Arc::default(),
            write_permit: Arc::new(Semaphore::new(1)),
            outage_limit,
            bounds,
            bytes: 0,
        }
    }

    /// Adds the size of existing events.
    pub(crate) fn count_bytes<'a>(&mut self, bodies: impl IntoIterator<Item = &'a EventBody>) {
        let bytes = bodies.into_iter().map(EventBody::bytes);
        self.bytes = bytes.fold(self.bytes, u64::saturating_add);
    }

    /// Checks that the log may grow. Existing events are kept, and the end of the run is always
    /// accepted.
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

    /// The sequence of the last numbered event.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Numbers events.
    pub(crate) fn number(&mut self, bodies: Vec<EventBody>) -> Vec<Arc<RunEvent>> {
        let events = numbered(self.live.id(), self.next, now(), bodies);
        self.next += events.len() as u64;
        events
    }

    /// Waits until no write is in progress.
    pub(crate) async fn wait_idle(&self) {
        // Released at once: only the next append takes the permit, and only this run appends.
        drop(self.write_permit.acquire().await);
    }

    /// Waits until a write fails.
    pub(crate) async fn wait_failed(&self) {
        self.failed.notified().await;
    }

    /// Waits until the log accepts no more events.
    pub(crate) async fn wait_refused(&mut self) -> LogError {
        loop {
            self.wait_failed().await;
            if let Err(error) = self.wait_committed().await {
                return error;
            }
        }
    }

    /// Queues events; they are published in order once they are committed, without the run waiting
    /// for it. Waits only for the previous write, and for an unavailable database.
    pub(crate) async fn append(
        &mut self,
        bodies: Vec<EventBody>,
        change: StateChange,
    ) -> Result<(), LogError> {
        self.wait_committed().await?;
        if bodies.is_empty() {
            return Ok(());
        }
        self.count_bytes(&bodies);
        self.uncommitted = self.number(bodies);
        self.change = change;
        self.queue(false).await;
        match self.change {
            StateChange::None => self.check_size(),
            // The events change the state of the run, so they are kept.
            StateChange::Begins(_) | StateChange::Awaits(_) => Ok(()),
        }
    }

    /// Waits until all writes are committed. Failed writes are retried for as long as a run may
    /// wait for the database.
    pub(crate) async fn wait_committed(&mut self) -> Result<(), LogError> {
        self.wait_idle().await;
        let deadline = Instant::now() + self.outage_limit;
        let (mut pauses, mut refused) = (StoreBackoff::new(), 0);
        while self.is_broken() {
            match self.rewrite().await {
                Ok(()) => {}
                // At the first conflict another write of this run may just have been committed.
                Err(StoreError::Conflict) if refused == 0 => refused += 1,
                Err(StoreError::Conflict | StoreError::Fenced) => return Err(LogError::Lost),
                Err(StoreError::Unavailable(why)) if Instant::now() >= deadline => {
                    return Err(LogError::Outage(why));
                }
                Err(StoreError::Unavailable(_)) => pauses.pause().await,
                Err(error) => return Err(LogError::Refused(error.to_string())),
            }
        }
        self.uncommitted.clear();
        Ok(())
    }

    /// Reads the state of the log and writes the missing events again, under the same numbers.
    async fn rewrite(&mut self) -> Result<(), StoreError> {
        self.resync().await?;
        self.broken.store(false, Ordering::Release);
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        let outcome = self.queue(true).await;
        self.wait_idle().await;
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable("the store is closed".to_owned())),
        }
    }

    /// Queues the uncommitted events.
    async fn queue(
        &mut self,
        mends_log: bool,
    ) -> tokio::sync::oneshot::Receiver<Result<(), StoreError>> {
        let (reply, outcome) = tokio::sync::oneshot::channel();
        let (live, broken, failed, committed) = (
            Arc::clone(&self.live),
            Arc::clone(&self.broken),
            Arc::clone(&self.failed),
            self.uncommitted.clone(),
        );
        let permit = Arc::clone(&self.write_permit).try_acquire_owned();
        let done = Box::new(move |outcome: Result<(), StoreError>| {
            match &outcome {
                Ok(()) => live.publish(&committed),
                Err(error) => {
                    log_failure(live.span(), error, "events were not written");
                    broken.store(true, Ordering::Release);
                    failed.notify_one();
                }
            }
            // Only a rewrite waits for the outcome.
            let _ = reply.send(outcome);
            // Dropped with the closure, even if that is never called.
            drop(permit);
        });
        let (started_at, awaits) = match &self.change {
            StateChange::None => (None, Vec::new()),
            StateChange::Begins(at) => (Some(*at), Vec::new()),
            StateChange::Awaits(interrupts) => (None, interrupts.clone()),
        };
        let new = NewEvents {
            who: self.who.clone(),
            node: self.node,
            fence: self.fence,
            events: self.uncommitted.clone(),
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

    /// Reads the state of the log after a failed write (a commit may succeed although its response
    /// is lost), publishes the events, and continues numbering after them. `Fenced` if another node
    /// holds the run.
    async fn resync(&mut self) -> Result<(), StoreError> {
        loop {
            let last = self.live.last_sequence();
            let missed = self
                .store
                .events(&self.who, self.live.id(), last, 1_000)
                .await?;
            // Checked after the read: events of another node are not this run's own.
            let (node, fence) = (self.node, self.fence);
            if !self.store.has_run(self.live.id(), node, fence).await? {
                return Err(StoreError::Fenced);
            }
            if missed.is_empty() {
                self.uncommitted.retain(|event| event.sequence > last);
                self.next = last + 1 + self.uncommitted.len() as u64;
                return Ok(());
            }
            let missed: Vec<_> = missed.into_iter().map(Arc::new).collect();
            self.live.publish(&missed);
        }
    }

    /// The events that the log lacks, to be written with the end of the run.
    pub(crate) async fn take_lost(&mut self) -> Result<Vec<EventBody>, StoreError> {
        self.resync().await?;
        self.next = self.live.last_sequence() + 1;
        Ok(self
            .uncommitted
            .iter()
            .map(|event| event.body.clone())
            .collect())
    }
}

/// An unavailable database is reported once for all runs (`store/outage`).
fn log_failure(span: &Span, error: &StoreError, failed: &str) {
    match error {
        StoreError::Unavailable(_) => tracing::debug!(parent: span, %error, "{failed}"),
        // A run that another node holds reports it itself, once.
        StoreError::Conflict => {}
        _ => tracing::warn!(parent: span, %error, "{failed}"),
    }
}

/// Numbers events from `first` on.
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
