//! Making room in a session for a run that shall start although another is active.

use std::time::Duration;

use crate::domain::{ConcurrencyPolicy, Principal, RunId};

use super::{Runner, StartError};

/// How long a stopped run gets to write its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a start makes room; others may take it each time.
pub(super) const TRIES: usize = 8;

impl Runner {
    /// Stops a session's active run as the policy says and waits for its end. The caller has
    /// checked whose it is.
    pub(super) async fn make_room(
        &self,
        who: &Principal,
        run: RunId,
        policy: ConcurrencyPolicy,
    ) -> Result<(), StartError> {
        let Some(live) = self.bus.get(run) else {
            let found = self.store.runs_by_id(who, &[run]).await?;
            return match found.iter().any(|run| !run.status.is_terminal()) {
                true => Err(StartError::Elsewhere(run)),
                false => Ok(()),
            };
        };
        match policy {
            ConcurrencyPolicy::Reject | ConcurrencyPolicy::Enqueue => {
                return Err(StartError::ActiveRun(run));
            }
            ConcurrencyPolicy::Interrupt => live.cancel_token().cancel(),
            ConcurrencyPolicy::Rollback => live.withdraw(),
        }
        match tokio::time::timeout(PATIENCE, live.finished()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StartError::StillActive(run)),
        }
    }
}
