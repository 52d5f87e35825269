//! The group commit: one task commits continuously, and each transaction takes all writes queued so
//! far. While one commit is under way the next group queues up, so all of its members share the
//! cost of a commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use talkgraph_domain::RunId;
use talkgraph_watchdog::{Task, watched};

use super::batch_window::BatchWindow;
use super::group::{Group, GroupOutcome};
use crate::health::StoreHealth;
use crate::{FinishedRun, NewEvents, NewRun, Reply, StartedRun, StoreError, Turn, TurnRequest};

/// Bounds of the writer.
#[derive(Debug, Clone)]
pub struct WriterSettings {
    /// The limit of queued writes; past it, callers wait for a place.
    pub queue: usize,
    /// The limit of writes in one transaction.
    pub group: usize,
    /// The longest wait of a write for a place in the queue.
    pub queue_timeout: Duration,
    /// The longest wait of events for others to share their commit, where they arrive fast.
    pub batch_window: Duration,
}

/// Commits one group in one transaction: all of it or, with an error, nothing.
#[async_trait]
pub(crate) trait Committer: Send + 'static {
    async fn commit(&mut self, group: &Group) -> Result<GroupOutcome, StoreError>;

    /// Writes and removes a row without meaning.
    async fn heartbeat(&mut self) -> Result<(), StoreError>;

    /// Does work between two commits that would delay the members of one.
    async fn tidy(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

enum Write {
    Start(Box<NewRun>, Reply<StartedRun>),
    Append(NewEvents, Reply<()>),
    Finish(Box<FinishedRun>, Reply<()>),
    Turn(TurnRequest, Reply<Turn>),
    Heartbeat(Reply<()>),
}

/// A write and the time at which it was queued.
struct Queued {
    at: Instant,
    write: Write,
}

impl Write {
    /// True if a caller waits for this write; events are followed by more of them.
    fn is_urgent(&self) -> bool {
        match self {
            Self::Start(..) | Self::Finish(..) | Self::Turn(..) | Self::Heartbeat(..) => true,
            Self::Append(new, _) => new.changes_state(),
        }
    }
}

/// The handle for callers that write.
pub(crate) struct Writer {
    queue: mpsc::Sender<Queued>,
    queue_timeout: Duration,
    task: Mutex<Option<JoinHandle<()>>>,
    closing: mpsc::Sender<()>,
    health: Arc<StoreHealth>,
    /// The outcome of the heartbeat under way.
    heartbeat: Mutex<Option<oneshot::Receiver<Result<(), StoreError>>>>,
}

impl Writer {
    pub(crate) fn spawn(
        settings: &WriterSettings,
        committer: impl Committer,
        health: Arc<StoreHealth>,
    ) -> Self {
        let (queue, writes) = mpsc::channel(settings.queue);
        let (closing, closed) = mpsc::channel(1);
        let task = run(
            committer,
            writes,
            closed,
            settings.clone(),
            Arc::clone(&health),
        );
        let task = tokio::spawn(watched(Task::only("the store's writer"), task));
        Self {
            queue,
            queue_timeout: settings.queue_timeout,
            task: Mutex::new(Some(task)),
            closing,
            health,
            heartbeat: Mutex::new(None),
        }
    }

    /// The state of the writer.
    pub(crate) fn health(&self) -> &Arc<StoreHealth> {
        &self.health
    }

    /// Writes and removes a row without meaning. One is under way at a time, for any number of
    /// callers: heartbeats that wait for a database that hangs must not fill the queue.
    pub(crate) async fn heartbeat(&self) -> Result<(), StoreError> {
        let mut under_way = self.heartbeat.lock().await;
        let outcome = match under_way.as_mut() {
            Some(outcome) => outcome,
            None => {
                let (reply, outcome) = waiting();
                self.push(Write::Heartbeat(reply)).await?;
                under_way.insert(outcome)
            }
        };
        let outcome = outcome.await;
        *under_way = None;
        outcome.map_err(|_| stopped())?
    }

    pub(crate) async fn start(&self, run: NewRun) -> Result<StartedRun, StoreError> {
        let (reply, outcome) = waiting();
        self.push(Write::Start(Box::new(run), reply)).await?;
        outcome.await.map_err(|_| stopped())?
    }

    pub(crate) async fn append(
        &self,
        events: NewEvents,
        done: Reply<()>,
    ) -> Result<(), StoreError> {
        self.push(Write::Append(events, done)).await
    }

    pub(crate) async fn finish(&self, run: FinishedRun) -> Result<(), StoreError> {
        let (reply, outcome) = waiting();
        self.push(Write::Finish(Box::new(run), reply)).await?;
        outcome.await.map_err(|_| stopped())?
    }

    pub(crate) async fn take_turn(&self, turn: TurnRequest) -> Result<Turn, StoreError> {
        let (reply, outcome) = waiting();
        self.push(Write::Turn(turn, reply)).await?;
        outcome.await.map_err(|_| stopped())?
    }

    async fn push(&self, write: Write) -> Result<(), StoreError> {
        let at = Instant::now();
        match self.queue.try_send(Queued { at, write }) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopped()),
            Err(mpsc::error::TrySendError::Full(write)) => {
                match self.queue.send_timeout(write, self.queue_timeout).await {
                    Ok(()) => Ok(()),
                    Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(stopped()),
                    Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(StoreError::Unavailable(
                        "the queue of writes is full".to_owned(),
                    )),
                }
            }
        }
    }

    /// Commits what is queued and stops.
    pub(crate) async fn close(&self) {
        // A second signal has no place in the channel and is not needed.
        let _ = self.closing.try_send(());
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "writer failed");
        }
    }
}

fn waiting<T: Send + 'static>() -> (Reply<T>, oneshot::Receiver<Result<T, StoreError>>) {
    let (sender, receiver) = oneshot::channel();
    // The caller may be gone; the write stays committed.
    let reply = Box::new(move |outcome| drop(sender.send(outcome)));
    (reply, receiver)
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

async fn run(
    mut committer: impl Committer,
    mut writes: mpsc::Receiver<Queued>,
    mut closed: mpsc::Receiver<()>,
    settings: WriterSettings,
    health: Arc<StoreHealth>,
) {
    let group = settings.group;
    let mut taken = Vec::with_capacity(group);
    let mut window = BatchWindow::new(settings.batch_window);
    let mut broken = BrokenLogs::default();
    loop {
        tokio::select! {
            biased;
            count = writes.recv_many(&mut taken, group) => if count == 0 { return },
            // Only polled when nothing is queued: accepted writes are committed first.
            _ = closed.recv() => writes.close(),
        }
        if !taken.is_empty() {
            let oldest = taken.iter().map(|queued: &Queued| queued.at).min();
            health.takes(oldest.unwrap_or_else(Instant::now));
            let urgent = |queued: &Queued| queued.write.is_urgent();
            window.fill(&mut taken, &mut writes, group, urgent).await;
            let writes = taken.drain(..).map(|queued| queued.write);
            commit(&mut committer, &mut broken, &health, writes).await;
            if let Err(error) = committer.tidy().await {
                // All commits so far are safe.
                if !health.outage().note(&error) {
                    tracing::warn!(%error, "sorting of recent events failed");
                }
            }
            health.rests();
        }
    }
}

/// Runs whose log lacks events that could not be written. Nothing may follow a hole, so all other
/// writes of such a run are refused until one that mends the log: it is numbered after the stored
/// events. Bounded by the number of active runs, each of which ends.
#[derive(Default)]
struct BrokenLogs(HashSet<RunId>);

impl BrokenLogs {
    fn add(&mut self, new: &NewEvents) {
        self.0.extend(new.events.first().map(|event| event.run_id));
    }

    fn refuse_append(&self, new: &NewEvents) -> bool {
        let run = new.events.first().map(|event| event.run_id);
        !new.mends_log && run.is_some_and(|run| self.0.contains(&run))
    }

    /// Records the outcome of an append.
    fn appended(&mut self, new: &NewEvents, outcome: &Result<(), StoreError>) {
        match outcome {
            Ok(()) if !new.mends_log => {}
            Ok(()) => self.mended(new),
            Err(_) => self.add(new),
        }
    }

    fn mended(&mut self, new: &NewEvents) {
        if let Some(event) = new.events.first() {
            self.0.remove(&event.run_id);
        }
    }

    fn refuse_finish(&self, finish: &FinishedRun) -> bool {
        !finish.mends_log && self.0.contains(&finish.run.id)
    }

    /// A run that has ended, here or on another node, has nothing more to write.
    fn forget(&mut self, finish: &FinishedRun, outcome: &Result<(), StoreError>) {
        if matches!(outcome, Ok(()) | Err(StoreError::Conflict)) {
            self.0.remove(&finish.run.id);
        }
    }
}

#[derive(Default)]
struct Replies {
    starts: Vec<Reply<StartedRun>>,
    appends: Vec<Reply<()>>,
    finishes: Vec<Reply<()>>,
    turns: Vec<Reply<Turn>>,
    heartbeats: Vec<Reply<()>>,
}

async fn commit(
    committer: &mut impl Committer,
    broken: &mut BrokenLogs,
    health: &StoreHealth,
    writes: impl Iterator<Item = Write>,
) {
    let mut group = Group::default();
    let mut replies = Replies::default();
    for write in writes {
        match write {
            Write::Start(run, reply) => {
                group.starts.push(*run);
                replies.starts.push(reply);
            }
            Write::Append(events, reply) if broken.refuse_append(&events) => {
                reply(Err(StoreError::Conflict));
            }
            Write::Append(events, reply) => {
                group.appends.push(events);
                replies.appends.push(reply);
            }
            Write::Finish(run, reply) if broken.refuse_finish(&run) => {
                reply(Err(StoreError::Conflict));
            }
            Write::Finish(run, reply) => {
                group.finishes.push(*run);
                replies.finishes.push(reply);
            }
            Write::Turn(turn, reply) => {
                group.turns.push(turn);
                replies.turns.push(reply);
            }
            Write::Heartbeat(reply) => replies.heartbeats.push(reply),
        }
    }
    for reply in std::mem::take(&mut replies.heartbeats) {
        let outcome = committer.heartbeat().await;
        health.settled(&outcome);
        reply(outcome);
    }
    let size = group.len();
    if size == 0 {
        return;
    }
    let outcome = committer.commit(&group).await;
    health.settled(&outcome);
    match outcome {
        Ok(outcome) => {
            for (finish, outcome) in group.finishes.iter().zip(&outcome.finishes) {
                broken.forget(finish, outcome);
            }
            for (new, outcome) in group.appends.iter().zip(&outcome.appends) {
                broken.appended(new, outcome);
            }
            deliver(replies, outcome);
        }
        // One faulty member must not fail the others.
        Err(StoreError::Internal(error)) if size > 1 => {
            tracing::warn!(%error, size, "group refused; committing its members one by one");
            commit_singly(committer, broken, group, replies).await;
        }
        Err(error) => {
            group.appends.iter().for_each(|new| broken.add(new));
            refuse(replies, &error);
        }
    }
}

async fn commit_singly(
    committer: &mut impl Committer,
    broken: &mut BrokenLogs,
    group: Group,
    replies: Replies,
) {
    for (start, reply) in group.starts.into_iter().zip(replies.starts) {
        let single = Group {
            starts: vec![start],
            ..Group::default()
        };
        reply(
            committer
                .commit(&single)
                .await
                .and_then(|mut outcome| first(&mut outcome.starts)),
        );
    }
    for (events, reply) in group.appends.into_iter().zip(replies.appends) {
        // An earlier append of the same run may be the faulty member.
        if broken.refuse_append(&events) {
            reply(Err(StoreError::Conflict));
            continue;
        }
        let single = Group {
            appends: vec![events],
            ..Group::default()
        };
        let outcome = committer
            .commit(&single)
            .await
            .and_then(|mut outcome| first(&mut outcome.appends));
        for new in &single.appends {
            broken.appended(new, &outcome);
        }
        reply(outcome);
    }
    for (finish, reply) in group.finishes.into_iter().zip(replies.finishes) {
        if broken.refuse_finish(&finish) {
            reply(Err(StoreError::Conflict));
            continue;
        }
        let single = Group {
            finishes: vec![finish],
            ..Group::default()
        };
        let outcome = committer
            .commit(&single)
            .await
            .and_then(|mut outcome| first(&mut outcome.finishes));
        for finish in &single.finishes {
            broken.forget(finish, &outcome);
        }
        reply(outcome);
    }
    for (turn, reply) in group.turns.into_iter().zip(replies.turns) {
        let single = Group {
            turns: vec![turn],
            ..Group::default()
        };
        let outcome = committer.commit(&single).await;
        reply(outcome.and_then(|mut outcome| first(&mut outcome.turns)));
    }
}

fn first<T>(outcomes: &mut Vec<Result<T, StoreError>>) -> Result<T, StoreError> {
    outcomes
        .pop()
        .unwrap_or_else(|| Err(StoreError::Internal("a write has no outcome".to_owned())))
}

fn deliver(replies: Replies, outcome: GroupOutcome) {
    for (reply, outcome) in replies.starts.into_iter().zip(outcome.starts) {
        reply(outcome);
    }
    for (reply, outcome) in replies.appends.into_iter().zip(outcome.appends) {
        reply(outcome);
    }
    for (reply, outcome) in replies.finishes.into_iter().zip(outcome.finishes) {
        reply(outcome);
    }
    for (reply, outcome) in replies.turns.into_iter().zip(outcome.turns) {
        reply(outcome);
    }
}

fn refuse(replies: Replies, error: &StoreError) {
    for reply in replies.starts {
        reply(Err(error.duplicate()));
    }
    for reply in replies.appends.into_iter().chain(replies.finishes) {
        reply(Err(error.duplicate()));
    }
    for reply in replies.turns {
        reply(Err(error.duplicate()));
    }
}
