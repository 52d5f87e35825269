//! Making room in a session for a run that shall start although another is active.

use std::time::Duration;

use talkgraph_domain::{ConcurrencyPolicy, Principal, RunId};

use crate::control::cancel::Stopped;
use crate::control::start_error::StartError;
use crate::runner::Runner;

/// How long a stopped run gets to write its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a start makes room; others may take it each time.
pub(crate) const TRIES: usize = 8;

impl Runner {
    /// Stops a session's active run as the policy says and waits for its end. The caller has
    /// checked whose it is.
    pub(crate) async fn make_room(
        self: &std::sync::Arc<Self>,
        who: &Principal,
        run: RunId,
        policy: ConcurrencyPolicy,
    ) -> Result<(), StartError> {
        let withdraw = match policy {
            ConcurrencyPolicy::Reject | ConcurrencyPolicy::Enqueue => {
                return Err(StartError::ActiveRun(run));
            }
            ConcurrencyPolicy::Interrupt => false,
            ConcurrencyPolicy::Rollback => true,
        };
        match self.stop(who, run, withdraw, PATIENCE).await? {
            Stopped::Ended(_) | Stopped::Unknown => Ok(()),
            Stopped::Ending => Err(StartError::StillActive(run)),
            Stopped::Elsewhere => Err(StartError::Elsewhere(run)),
        }
    }
}
