//! Stopping a run whose client has gone, where the client has asked for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::RunId;

use super::{Runner, Started};

/// Stops a run when it is dropped, unless that has been called off.
pub struct CancelOnDrop {
    runner: Arc<Runner>,
    run: RunId,
    is_armed: AtomicBool,
}

impl CancelOnDrop {
    /// Guards a run that was started here.
    pub fn new(runner: &Arc<Runner>, started: &Started) -> Self {
        Self {
            runner: Arc::clone(runner),
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
            // A run that has ended stays as it is.
            let _ = self.runner.cancel(self.run);
        }
    }
}
