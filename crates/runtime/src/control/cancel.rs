//! Cancellation of runs, suspended ones included.

use std::sync::Arc;
use std::time::Duration;

use talkgraph_bus::LiveRun;
use talkgraph_domain::{Principal, Run, RunEnd, RunId, RunStatus};
use talkgraph_store::StoreError;

use crate::control::lifecycle::Lifecycle;
use crate::control::recovery::Recovery;
use crate::run::finish::finish;
use crate::run::services::RunServices;

/// The number of attempts to find where a run is: it may move meanwhile.
const LOOKS: usize = 8;

/// The result of a cancellation.
#[derive(Debug)]
pub enum Stopped {
    /// The run has ended, now or before.
    Ended(Box<Run>),
    /// The run is cancelled and has not ended yet.
    Ending,
    /// Only another server can cancel the run.
    Elsewhere,
    /// There is no such run.
    Unknown,
}

/// Cancels runs.
pub struct Canceller {
    pub(crate) services: Arc<RunServices>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

impl Canceller {
    /// Cancels a run that is live on this node; it ends soon after, with its partial answer kept.
    /// None when it is not live here. The caller has checked its owner.
    pub(crate) fn cancel_live(&self, run: RunId) -> Option<Arc<LiveRun>> {
        let live = self.services.bus.get(run)?;
        live.cancel_token().cancel();
        Some(live)
    }

    /// Cancels a run and waits up to `patience` for its end; with `withdraw` its
    /// messages are taken out of their branch.
    pub async fn cancel(
        self: &Arc<Self>,
        who: &Principal,
        run: RunId,
        withdraw: bool,
        patience: Duration,
    ) -> Result<Stopped, StoreError> {
        for _ in 0..LOOKS {
            if let Some(live) = self.services.bus.get(run) {
                match withdraw {
                    true => live.withdraw(),
                    false => live.cancel_token().cancel(),
                }
                match tokio::time::timeout(patience, live.finished()).await {
                    Ok(Some(outcome)) => return Ok(Stopped::Ended(Box::new(outcome.run.clone()))),
                    // It may just have been suspended.
                    Ok(None) => {}
                    Err(_) => return Ok(Stopped::Ending),
                }
            }
            let Some(stored) = self.services.store.runs_by_id(who, &[run]).await?.pop() else {
                return Ok(Stopped::Unknown);
            };
            match stored.status {
                status if status.is_terminal() => return Ok(Stopped::Ended(Box::new(stored))),
                RunStatus::AwaitingInput => {
                    let (canceller, who) = (Arc::clone(self), who.clone());
                    // A separate task: an end that has begun is completed.
                    let task = self
                        .lifecycle
                        .tasks
                        .spawn(async move { canceller.cancel_suspended(who, run, withdraw).await });
                    match tokio::time::timeout(patience, task).await {
                        Ok(Ok(ended)) => ended?,
                        Ok(Err(error)) => return Err(StoreError::Internal(error.to_string())),
                        Err(_) => return Ok(Stopped::Ending),
                    }
                }
                _ if self.services.bus.get(run).is_some() => {}
                _ => return Ok(Stopped::Elsewhere),
            }
        }
        Ok(Stopped::Ending)
    }

    /// Ends a run that is suspended, if it still is.
    pub(crate) async fn cancel_suspended(
        self: Arc<Self>,
        who: Principal,
        run: RunId,
        withdraw: bool,
    ) -> Result<(), StoreError> {
        let _turn = self.services.suspension_locks.take(run).await;
        if self.services.bus.get(run).is_some() {
            return Ok(());
        }
        let claimed = self
            .services
            .store
            .claim_awaiting_run(&who, run, self.services.node)
            .await?;
        let Some(claimed) = claimed else {
            return Ok(());
        };
        let mut reopened = self.recovery.reopen(who, claimed).await?;
        if withdraw {
            reopened.ctx.live.withdraw();
        }
        finish(&mut reopened.ctx, RunEnd::Cancelled).await;
        self.services.bus.close(run);
        Ok(())
    }
}
