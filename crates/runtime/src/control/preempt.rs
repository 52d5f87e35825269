//! Preemption of a session's active run by a run that starts.

use std::sync::Arc;
use std::time::Duration;

use talkgraph_domain::{ConcurrencyPolicy, Principal, RunId};

use crate::control::cancel::{Canceller, Stopped};
use crate::control::start_error::StartError;

/// The time in which a cancelled run writes its end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of runs that one start preempts: others may start in between.
pub(crate) const TRIES: usize = 8;

/// Cancels a session's active run as the policy says and waits for its end. The caller has
/// checked its owner.
pub(crate) async fn preempt(
    canceller: &Arc<Canceller>,
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
    match canceller.cancel(who, run, withdraw, END_TIMEOUT).await? {
        Stopped::Ended(_) | Stopped::Unknown => Ok(()),
        Stopped::Ending => Err(StartError::StillActive(run)),
        Stopped::Elsewhere => Err(StartError::Elsewhere(run)),
    }
}
