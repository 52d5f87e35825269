//! Following a run: the log up to the live tail, then the tail, in one number space.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::watch;

use talkgraph_bus::{LiveRun, Ready};
use talkgraph_domain::{EventBody, Principal, Run, RunEvent, RunId, RunStatus};

use crate::control::start::Started;
use crate::follow::error::FollowError;
use crate::run::event_log::POLL;
use crate::run::store_retry::patiently;
use crate::runner::Runner;

/// How many events are read at once.
const BATCH: u32 = 256;

/// The events of a run, in order and without holes; ends after the terminal event.
pub type RunEvents = BoxStream<'static, Result<Arc<RunEvent>, FollowError>>;

impl Runner {
    /// The events of a run after `after`, from the log as far as they are there and then as
    /// they happen.
    pub async fn follow(
        self: &Arc<Self>,
        who: &Principal,
        run: RunId,
        after: u64,
    ) -> Result<RunEvents, FollowError> {
        let found = self.store.runs_by_id(who, &[run]).await?.pop();
        let stored = found.ok_or(FollowError::UnknownRun(run))?;
        let live = self.bus.get(run);
        check_place(&stored, live.as_deref(), after)?;
        Ok(self.events(who.clone(), run, live, after))
    }

    /// As [`Runner::follow`], for a run that was started by `who`, from its beginning.
    pub fn follow_started(self: &Arc<Self>, who: Principal, started: Started) -> RunEvents {
        self.events(who, started.stored.run.id, started.live, 0)
    }

    /// The next events in a log. A database that is away is waited for as long as a run waits
    /// for it: its followers may come here from a run that this server has lost meanwhile.
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
            events = patiently(self.limits.store_outage, read) => Ok(events?),
            () = stopping => Err(FollowError::Stopping { after: Some(after) }),
        }
    }

    /// The run, unless nothing can come after `after` any more.
    async fn unended(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
    ) -> Result<Option<Run>, FollowError> {
        let read = || self.store.runs_by_id(who, std::slice::from_ref(&run));
        let found = patiently(self.limits.store_outage, read).await?.pop();
        let stored = found.ok_or(FollowError::UnknownRun(run))?;
        let ended = stored.status.is_terminal() && stored.last_sequence <= after;
        Ok((!ended).then_some(stored))
    }

    /// Waits until there may be more after `after` of a run that another process makes, whose end
    /// is about to be written by recovery, or which waits for answers. False if nothing can come
    /// any more.
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
            let patience = self.patience(&stored);
            let wait = async {
                // The sender stays as long as somebody receives.
                let _ = tokio::time::timeout(patience, news.changed()).await;
            };
            or_stopping(stopping, Some(after), wait).await?;
        } else {
            // The caller looks once more, so that nothing is missed in between.
            *news = Some(self.bus.news().of_session(stored.session_id));
        }
        Ok(true)
    }

    /// How long a follower waits for news of a run that is not made here.
    fn patience(&self, run: &Run) -> Duration {
        match run.status {
            // For hours perhaps, and what happens on this node is told.
            RunStatus::AwaitingInput => self.poll_interval(),
            _ => POLL,
        }
    }

    pub(crate) fn events(
        self: &Arc<Self>,
        who: Principal,
        run: RunId,
        mut live: Option<Arc<LiveRun>>,
        mut after: u64,
    ) -> RunEvents {
        let runner = Arc::clone(self);
        try_stream! {
            // One that reads what was there before it came is not behind.
            let mut caught_up = false;
            let mut news: Option<watch::Receiver<()>> = None;
            // One place in the line for all waits.
            let mut stopping = pin!(runner.stopping.cancelled());
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
                        let read = runner.read_log(&who, run, after, &mut stopping).await;
                        read?.into_iter().map(Arc::new).collect()
                    }
                };
                if batch.is_empty() {
                    // Seldom, and larger than all else that a follower keeps.
                    let more = runner.more_elsewhere(&who, run, after, &mut news, &mut stopping);
                    if !Box::pin(more).await? {
                        return;
                    }
                    live = runner.bus.get(run);
                    continue;
                }
                let behind = live.as_ref().filter(|_| caught_up).map_or(0, |live| {
                    live.last_sequence().saturating_sub(after)
                });
                if behind > runner.limits.lag_events {
                    Err(FollowError::TooSlow { after: Some(after) })?;
                }
                let batch = match behind > runner.limits.behind_events {
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

/// Waits with `wait`, or is ended because the server stops. What is ready is told first.
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

/// Whether a run has got as far as `after`.
pub(crate) fn check_place(
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

/// Makes one event of adjacent pieces of the same text.
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
        // Of several reports the latest says all.
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
