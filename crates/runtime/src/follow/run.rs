//! Following a run: the log up to the live tail, then the tail, in one number space.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use talkgraph_bus::{Bus, LiveRun, Ready};
use talkgraph_domain::{EventBody, Principal, Run, RunEvent, RunId, RunStatus};
use talkgraph_store::SharedStore;

use crate::follow::error::FollowError;
use crate::run::event_log::POLL;
use crate::run::store_retry::retry_while_unavailable;
use crate::spec::limits::RunLimits;

/// The number of events that are read at once.
const BATCH: u32 = 256;

/// The events of a run, in order and without holes; ends after the terminal event.
pub type RunEvents = BoxStream<'static, Result<Arc<RunEvent>, FollowError>>;

/// The interval in which the database is read for changes: where other nodes write to it, and
/// where that is not usual.
const POLL_SHARED: Duration = Duration::from_millis(500);
const POLL_ALONE: Duration = Duration::from_secs(5);

/// Follows runs and sessions.
pub struct Follow {
    pub(crate) store: SharedStore,
    pub(crate) bus: Arc<Bus>,
    pub(crate) limits: RunLimits,
    /// Ends every stream when the server stops.
    pub(crate) stopping: CancellationToken,
}

impl Follow {
    /// The events of a run after `after`: those in the log, and then live ones.
    ///
    /// # Errors
    /// An unknown run, an `after` that it has not reached, or the store's.
    pub async fn run(
        self: &Arc<Self>,
        who: &Principal,
        run: RunId,
        after: u64,
    ) -> Result<RunEvents, FollowError> {
        let found = self.store.runs_by_id(who, &[run]).await?.pop();
        let stored = found.ok_or(FollowError::UnknownRun(run))?;
        let live = self.bus.get(run);
        check_reached(&stored, live.as_deref(), after)?;
        Ok(self.events(who.clone(), run, live, after))
    }

    /// The next events in a log. Retries for as long as a run does while the database is
    /// unavailable: the follower may be one of a run that this server has just lost.
    async fn read_log(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
        stopping: impl Future<Output = ()>,
    ) -> Result<Vec<RunEvent>, FollowError> {
        let read = || self.store.events(who, run, after, BATCH);
        tokio::select! {
            biased;
            events = retry_while_unavailable(self.limits.store_outage, read) => Ok(events?),
            () = stopping => Err(FollowError::Stopping { after: Some(after) }),
        }
    }

    /// The run, unless `after` is its end.
    async fn unended(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
    ) -> Result<Option<Run>, FollowError> {
        let read = || self.store.runs_by_id(who, std::slice::from_ref(&run));
        let found = retry_while_unavailable(self.limits.store_outage, read)
            .await?
            .pop();
        let stored = found.ok_or(FollowError::UnknownRun(run))?;
        let ended = stored.status.is_terminal() && stored.last_sequence <= after;
        Ok((!ended).then_some(stored))
    }

    /// Waits until there may be events after `after` of a run that another process executes, whose
    /// end recovery is about to write, or which is suspended. False if `after` is the run's end.
    async fn more_elsewhere(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
        news: &mut Option<watch::Receiver<()>>,
        stopping: impl Future<Output = ()>,
    ) -> Result<bool, FollowError> {
        let Some(stored) = self.unended(who, run, after).await? else {
            return Ok(false);
        };
        if let Some(news) = news {
            let timeout = self.change_timeout(&stored);
            let wait = async {
                // The sender stays while there is a receiver.
                let _ = tokio::time::timeout(timeout, news.changed()).await;
            };
            or_stopping(stopping, Some(after), wait).await?;
        } else {
            // The caller reads once more, so that no change in between is missed.
            *news = Some(self.bus.news().of_session(stored.session_id));
        }
        Ok(true)
    }

    /// The longest wait for a change of a run that this node does not execute.
    fn change_timeout(&self, run: &Run) -> Duration {
        match run.status {
            // Possibly for hours, and this node reports its own changes.
            RunStatus::AwaitingInput => poll_interval(&self.store),
            _ => POLL,
        }
    }

    /// The events after `after` of a run of `who` that is `live` here, or else in the log.
    pub fn events(
        self: &Arc<Self>,
        who: Principal,
        run: RunId,
        mut live: Option<Arc<LiveRun>>,
        mut after: u64,
    ) -> RunEvents {
        let follow = Arc::clone(self);
        try_stream! {
            // A follower that still reads older events is not behind.
            let mut caught_up = false;
            let mut news: Option<watch::Receiver<()>> = None;
            // One registration for all waits.
            let mut stopping = pin!(follow.stopping.cancelled());
            loop {
                let batch = match live.as_ref().map(|live| live.ready(after, BATCH as usize)) {
                    Some(Ready::Events(events)) => events,
                    Some(Ready::Nothing) => {
                        caught_up = true;
                        if let Some(live) = &live {
                            or_stopping(&mut stopping, Some(after), live.wait(after)).await?;
                        }
                        continue;
                    }
                    Some(Ready::Closed) => {
                        live = None;
                        continue;
                    }
                    Some(Ready::InLog) | None => {
                        let read = follow.read_log(&who, run, after, &mut stopping).await;
                        read?.into_iter().map(Arc::new).collect()
                    }
                };
                if batch.is_empty() {
                    // Boxed: seldom used, and larger than the rest of a follower's state.
                    let more = follow.more_elsewhere(&who, run, after, &mut news, &mut stopping);
                    if !Box::pin(more).await? {
                        return;
                    }
                    live = follow.bus.get(run);
                    continue;
                }
                let behind = live.as_ref().filter(|_| caught_up).map_or(0, |live| {
                    live.last_sequence().saturating_sub(after)
                });
                if behind > follow.limits.lag_events {
                    Err(FollowError::TooSlow { after: Some(after) })?;
                }
                let batch = match behind > follow.limits.behind_events {
                    true => merged(batch),
                    false => batch,
                };
                for event in batch {
                    after = event.sequence;
                    let last = event.body.is_terminal();
                    yield event;
                    if last {
                        return;
                    }
                }
            }
        }
        .boxed()
    }
}

/// The interval in which the database is asked for changes by other processes.
pub(crate) fn poll_interval(store: &SharedStore) -> Duration {
    match store.is_shared() {
        true => POLL_SHARED,
        false => POLL_ALONE,
    }
}

/// Waits for `wait`, or fails because the server stops. A change that is ready comes first.
pub(crate) async fn or_stopping(
    stopping: impl Future<Output = ()>,
    after: Option<u64>,
    wait: impl Future<Output = ()>,
) -> Result<(), FollowError> {
    tokio::select! {
        biased;
        () = wait => Ok(()),
        () = stopping => Err(FollowError::Stopping { after }),
    }
}

/// Refuses an `after` that the run has not reached.
pub(crate) fn check_reached(
    stored: &Run,
    live: Option<&LiveRun>,
    after: u64,
) -> Result<(), FollowError> {
    let last = live.map_or(0, LiveRun::last_sequence);
    let last = last.max(stored.last_sequence);
    match after > last {
        true => Err(FollowError::BeyondEnd { last }),
        false => Ok(()),
    }
}

/// Merges adjacent deltas of the same text into one event.
fn merged(events: Vec<Arc<RunEvent>>) -> Vec<Arc<RunEvent>> {
    let mut kept: Vec<Arc<RunEvent>> = Vec::new();
    for event in events {
        let joined = kept.last().and_then(|last| joined(last, &event));
        match (joined, kept.last_mut()) {
            (Some(joined), Some(last)) => *last = Arc::new(joined),
            _ => kept.push(event),
        }
    }
    kept
}

fn joined(first: &RunEvent, second: &RunEvent) -> Option<RunEvent> {
    let body = match (&first.body, &second.body) {
        (
            EventBody::TextDelta {
                message_id, delta, ..
            },
            EventBody::TextDelta {
                message_id: other,
                delta: more,
                end,
            },
        ) if message_id == other => EventBody::TextDelta {
            message_id: *message_id,
            delta: format!("{delta}{more}"),
            end: *end,
        },
        (
            EventBody::ReasoningDelta {
                message_id,
                delta,
                signature: None,
            },
            EventBody::ReasoningDelta {
                message_id: other,
                delta: more,
                signature,
            },
        ) if message_id == other => EventBody::ReasoningDelta {
            message_id: *message_id,
            delta: format!("{delta}{more}"),
            signature: signature.clone(),
        },
        // The latest report replaces earlier ones.
        (
            EventBody::ToolCallProgress { tool_call_id, .. },
            latest @ EventBody::ToolCallProgress {
                tool_call_id: other,
                ..
            },
        ) if tool_call_id == other => latest.clone(),
        _ => return None,
    };
    Some(RunEvent {
        first_sequence: first.first_sequence,
        body,
        ..second.clone()
    })
}
