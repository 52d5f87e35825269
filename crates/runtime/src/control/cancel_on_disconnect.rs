//! Cancellation of a run whose client has disconnected, where the request asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use talkgraph_domain::{Principal, RunId};

use crate::control::cancel::Canceller;
use crate::control::start::Started;

/// Cancels a run when dropped, unless disarmed.
pub struct CancelOnDrop {
    canceller: Arc<Canceller>,
    who: Principal,
    run: RunId,
    is_armed: AtomicBool,
}

impl CancelOnDrop {
    /// Guards a run that was started here.
    pub fn new(canceller: &Arc<Canceller>, who: &Principal, started: &Started) -> Self {
        Self {
            canceller: Arc::clone(canceller),
            who: who.clone(),
            run: started.stored.run.id,
            is_armed: AtomicBool::new(true),
        }
    }

    /// Keeps the run when the guard is dropped.
    pub fn disarm(&self) {
        self.is_armed.store(false, Ordering::Relaxed);
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.is_armed.load(Ordering::Relaxed) {
            // A run that has ended stays as it is; a suspended one has no task to cancel.
            if self.canceller.cancel_live(self.run).is_none()
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                let (canceller, who, run) =
                    (Arc::clone(&self.canceller), self.who.clone(), self.run);
                let lifecycle = Arc::clone(&canceller.lifecycle);
                let ending = canceller.cancel_suspended(who, run, false);
                let ending = lifecycle.tasks.track_future(ending);
                runtime.spawn(async move {
                    if let Err(error) = ending.await {
                        tracing::error!(%run, %error, "a run without its client stays suspended");
                    }
                });
            }
        }
    }
}
