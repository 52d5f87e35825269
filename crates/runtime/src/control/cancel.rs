//! Stopping runs, those that wait for answers included.

use std::sync::Arc;
use std::time::Duration;

use talkgraph_domain::{Principal, Run, RunEnd, RunId, RunStatus};
use talkgraph_store::StoreError;

use crate::run::finish::finish;
use crate::runner::Runner;

/// How often is looked again for who has a run: it may go from one to the other meanwhile.
const LOOKS: usize = 8;

/// What became of a run that was to stop.
#[derive(Debug)]
pub enum Stopped {
    /// It has ended, now or before.
    Ended(Box<Run>),
    /// It was told to stop and has not ended yet.
    Ending,
    /// Only another server can stop it.
    Elsewhere,
    /// There is no such run.
    Unknown,
}

impl Runner {
    /// Stops an active run and waits up to `patience` for its end; with `withdraw` its
    /// messages are taken out of their branch.
    pub async fn stop(
        self: &Arc<Self>,
        who: &Principal,
        run: RunId,
        withdraw: bool,
        patience: Duration,
    ) -> Result<Stopped, StoreError> {
        for _ in 0..LOOKS {
            if let Some(live) = self.bus.get(run) {
                match withdraw {
                    true => live.withdraw(),
                    false => live.cancel_token().cancel(),
                }
                match tokio::time::timeout(patience, live.finished()).await {
                    Ok(Some(outcome)) => return Ok(Stopped::Ended(Box::new(outcome.run.clone()))),
                    // It may just have begun to wait for answers.
                    Ok(None) => {}
                    Err(_) => return Ok(Stopped::Ending),
                }
            }
            let Some(stored) = self.store.runs_by_id(who, &[run]).await?.pop() else {
                return Ok(Stopped::Unknown);
            };
            match stored.status {
                status if status.is_terminal() => return Ok(Stopped::Ended(Box::new(stored))),
                RunStatus::AwaitingInput => {
                    let (runner, who) = (Arc::clone(self), who.clone());
                    // A task of its own: what has begun to end ends.
                    let task = self
                        .tasks
                        .spawn(async move { runner.end_awaiting(who, run, withdraw).await });
                    match tokio::time::timeout(patience, task).await {
                        Ok(Ok(ended)) => ended?,
                        Ok(Err(error)) => return Err(StoreError::Internal(error.to_string())),
                        Err(_) => return Ok(Stopped::Ending),
                    }
                }
                _ if self.bus.get(run).is_some() => {}
                _ => return Ok(Stopped::Elsewhere),
            }
        }
        Ok(Stopped::Ending)
    }

    /// Ends a run that waits for answers, if it still does.
    pub(crate) async fn end_awaiting(
        self: Arc<Self>,
        who: Principal,
        run: RunId,
        withdraw: bool,
    ) -> Result<(), StoreError> {
        let _turn = self.awaiting.take(run).await;
        if self.bus.get(run).is_some() {
            return Ok(());
        }
        let claimed = self.store.claim_awaiting_run(&who, run, self.node).await?;
        let Some(claimed) = claimed else {
            return Ok(());
        };
        let mut reopened = self.reopen(who, claimed).await?;
        if withdraw {
            reopened.ctx.live.withdraw();
        }
        finish(&mut reopened.ctx, RunEnd::Cancelled).await;
        self.bus.close(run);
        Ok(())
    }
}
