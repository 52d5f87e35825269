//! Following a session: its runs in the order of their turns.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use talkgraph_domain::{Interrupt, Principal, RunId, Session, SessionId};

use crate::follow::error::FollowError;
use crate::follow::run::{Follow, RunEvents, check_reached, or_stopping, poll_interval};

/// The number of runs that are looked up at once.
const RUNS: u32 = 16;

/// The position of a session's follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlace {
    /// The run whose events were seen last.
    pub run: RunId,
    /// The last sequence of it that was seen.
    pub after: u64,
}

impl Follow {
    /// All events of a session's runs, in the order of the runs' turns: from `place` on, or else
    /// from the beginning of the active run, or of the next one. Ends when the session is deleted.
    ///
    /// # Errors
    /// An unknown session, a `place` that is not in it or not reached, or the store's.
    pub async fn session(
        self: &Arc<Self>,
        who: &Principal,
        session: SessionId,
        place: Option<SessionPlace>,
    ) -> Result<RunEvents, FollowError> {
        let found = self.store.sessions_by_id(who, &[session]).await?.pop();
        let stored = found.ok_or(FollowError::UnknownSession(session))?;
        let (turn, after) = match place {
            None => (stored.turns - i32::from(stored.active_run.is_some()), 0),
            Some(place) => {
                let run = self.store.runs_by_id(who, &[place.run]).await?.pop();
                let run = run.filter(|run| run.session_id == session);
                let placed = run.and_then(|run| Some((run.turn?, run)));
                let (turn, run) = placed.ok_or(FollowError::NotOfSession(place.run))?;
                check_reached(&run, self.bus.get(run.id).as_deref(), place.after)?;
                (turn - 1, place.after)
            }
        };
        Ok(self.runs_after_turn(who.clone(), session, turn, after))
    }

    /// The sessions of `who` after each change from now on, deleted ones included.
    pub fn session_changes(
        self: &Arc<Self>,
        who: &Principal,
    ) -> BoxStream<'static, Result<Session, FollowError>> {
        let (follow, who) = (Arc::clone(self), who.clone());
        let mut changes = self.bus.news().of_owner(&who);
        try_stream! {
            while let Some(ids) = follow.next_changes(&mut changes).await? {
                let mut sessions = follow.store.sessions_even_deleted(&who, &ids).await?;
                sessions.sort_by_key(|session| session.updated_at);
                // Sessions of child runs are in no list.
                sessions.retain(|session| session.parent_run.is_none());
                for session in sessions {
                    yield session;
                }
            }
        }
        .boxed()
    }

    /// The interrupts of `who` after each change from now on.
    pub fn interrupt_changes(
        self: &Arc<Self>,
        who: &Principal,
    ) -> BoxStream<'static, Result<Interrupt, FollowError>> {
        let (follow, who) = (Arc::clone(self), who.clone());
        let mut changes = self.bus.news().of_interrupts(&who);
        try_stream! {
            while let Some(ids) = follow.next_changes(&mut changes).await? {
                let mut interrupts = follow.store.interrupts_by_id(&who, &ids).await?;
                interrupts.sort_by_key(|interrupt| interrupt.id);
                for interrupt in interrupts {
                    yield interrupt;
                }
            }
        }
        .boxed()
    }

    /// The ids that have changed since the last call, each once; waits for the first. None when
    /// the channel is closed.
    async fn next_changes<T: Clone + Ord>(
        &self,
        changes: &mut Receiver<T>,
    ) -> Result<Option<Vec<T>>, FollowError> {
        let mut change = None;
        let wait = async { change = Some(changes.recv().await) };
        or_stopping(self.stopping.cancelled(), None, wait).await?;
        let mut ids = match change {
            Some(Ok(id)) => vec![id],
            Some(Err(RecvError::Lagged(_))) => return Err(FollowError::TooSlow { after: None }),
            Some(Err(RecvError::Closed)) | None => return Ok(None),
        };
        // The bound of the channel is the bound of this loop.
        while let Ok(id) = changes.try_recv() {
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }

    /// The events of the runs after a turn; `after` is the position in the first of them.
    fn runs_after_turn(
        self: &Arc<Self>,
        who: Principal,
        session: SessionId,
        mut turn: i32,
        mut after: u64,
    ) -> RunEvents {
        let follow = Arc::clone(self);
        try_stream! {
            let mut news = follow.bus.news().of_session(session);
            loop {
                news.mark_unchanged();
                let runs = follow.store.runs_by_turn(&who, session, turn, RUNS).await?;
                if runs.is_empty() {
                    let found = follow.store.sessions_by_id(&who, &[session]).await?;
                    if found.is_empty() {
                        return;
                    }
                    let wait = async {
                        // The sender stays while there is a receiver.
                        let _ = tokio::time::timeout(poll_interval(&follow.store), news.changed()).await;
                    };
                    or_stopping(follow.stopping.cancelled(), None, wait).await?;
                }
                for run in runs {
                    turn = run.turn.unwrap_or(turn);
                    let live = follow.bus.get(run.id);
                    let mut events = follow.events(who.clone(), run.id, live, after);
                    after = 0;
                    while let Some(event) = events.next().await {
                        yield event?;
                    }
                }
            }
        }
        .boxed()
    }
}
