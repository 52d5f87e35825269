//! Following a session: the runs that have their turn in it, one after the other.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use talkgraph_domain::{Interrupt, Principal, RunId, Session, SessionId};

use crate::follow::error::FollowError;
use crate::follow::run::RunEvents;
use crate::follow::run::{check_place, or_stopping};
use crate::runner::Runner;

/// How many runs are looked up at once.
const RUNS: u32 = 16;

/// Where one who follows a session has got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlace {
    /// The run whose events were seen last.
    pub run: RunId,
    /// The last sequence of it that was seen.
    pub after: u64,
}

impl Runner {
    /// The events of a session's runs, in the order in which the runs have their turn, each
    /// whole: from `place` on, or else from the beginning of the active run, or of the next
    /// one. Ends when the session is deleted.
    pub async fn follow_session(
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
                check_place(&run, self.bus.get(run.id).as_deref(), place.after)?;
                (turn - 1, place.after)
            }
        };
        Ok(self.turns(who.clone(), session, turn, after))
    }

    /// The sessions of `who` as they are after each change from now on, deleted ones included.
    pub fn session_changes(
        self: &Arc<Self>,
        who: &Principal,
    ) -> BoxStream<'static, Result<Session, FollowError>> {
        let (runner, who) = (Arc::clone(self), who.clone());
        let mut changes = self.bus.news().of_owner(&who);
        try_stream! {
            while let Some(ids) = runner.next_changes(&mut changes).await? {
                let mut sessions = runner.store.sessions_even_deleted(&who, &ids).await?;
                sessions.sort_by_key(|session| session.updated_at);
                // What agents say to each other is in no list.
                sessions.retain(|session| session.parent_run.is_none());
                for session in sessions {
                    yield session;
                }
            }
        }
        .boxed()
    }

    /// The interrupts of `who` as they are after each change from now on.
    pub fn interrupt_changes(
        self: &Arc<Self>,
        who: &Principal,
    ) -> BoxStream<'static, Result<Interrupt, FollowError>> {
        let (runner, who) = (Arc::clone(self), who.clone());
        let mut changes = self.bus.news().of_interrupts(&who);
        try_stream! {
            while let Some(ids) = runner.next_changes(&mut changes).await? {
                let mut interrupts = runner.store.interrupts_by_id(&who, &ids).await?;
                interrupts.sort_by_key(|interrupt| interrupt.id);
                for interrupt in interrupts {
                    yield interrupt;
                }
            }
        }
        .boxed()
    }

    /// What has changed since the last call, each once; waits until there is something. None
    /// when nothing can come any more.
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
        // The channel is bounded, and so is this.
        while let Ok(id) = changes.try_recv() {
            ids.push(id);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }

    fn turns(
        self: &Arc<Self>,
        who: Principal,
        session: SessionId,
        mut turn: i32,
        mut after: u64,
    ) -> RunEvents {
        let runner = Arc::clone(self);
        try_stream! {
            let mut news = runner.bus.news().of_session(session);
            loop {
                news.mark_unchanged();
                let runs = runner.store.runs_by_turn(&who, session, turn, RUNS).await?;
                if runs.is_empty() {
                    let found = runner.store.sessions_by_id(&who, &[session]).await?;
                    if found.is_empty() {
                        return;
                    }
                    let wait = async {
                        // The sender stays as long as somebody receives.
                        let _ = tokio::time::timeout(runner.poll_interval(), news.changed()).await;
                    };
                    or_stopping(runner.stopping.cancelled(), None, wait).await?;
                }
                for run in runs {
                    turn = run.turn.unwrap_or(turn);
                    let live = runner.bus.get(run.id);
                    let mut events = runner.events(who.clone(), run.id, live, after);
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
