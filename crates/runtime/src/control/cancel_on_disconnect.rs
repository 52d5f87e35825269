//! Stopping a run whose client has gone, where the client has asked for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use talkgraph_domain::{Principal, RunId};

use crate::control::start::Started;
use crate::runner::Runner;

/// Stops a run when it is dropped, unless that has been called off.
pub struct CancelOnDrop {
    runner: Arc<Runner>,
    who: Principal,
    run: RunId,
    is_armed: AtomicBool,
}

impl CancelOnDrop {
    /// Guards a run that was started here.
    pub fn new(runner: &Arc<Runner>, who: &Principal, started: &Started) -> Self {
        Self {
            runner: Arc::clone(runner),
            who: who.clone(),
            run: started.stored.run.id,
            is_armed: AtomicBool::new(true),
        }
    }

    /// Calls it off.
    pub fn disarm(&self) {
        self.is_armed.store(false, Ordering::Relaxed);
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.is_armed.load(Ordering::Relaxed) {
            // A run that has ended stays as it is; one that waits for answers is nobody's task.
            if self.runner.cancel(self.run).is_none()
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                let (runner, who, run) = (Arc::clone(&self.runner), self.who.clone(), self.run);
                let ending = runner
                    .tasks
                    .track_future(Arc::clone(&runner).end_awaiting(who, run, false));
                runtime.spawn(async move {
                    if let Err(error) = ending.await {
                        tracing::error!(%run, %error, "a run without its client goes on waiting");
                    }
                });
            }
        }
    }
}
