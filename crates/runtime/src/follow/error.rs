//! The errors of following a run.

use thiserror::Error;

use talkgraph_domain::{RunId, SessionId};
use talkgraph_store::StoreError;

/// The error that ends or refuses a stream of events.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The caller's: no such run, or one of another owner.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// The caller's: no such session, or one of another owner.
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    /// The caller's: a run of another session, or one that has not had its turn.
    #[error("the run {0} is none that the session has had; give `runId` and `after` together")]
    NotOfSession(RunId),
    /// The caller's: it reads more slowly than the run writes.
    #[error("this subscriber fell too far behind; go on from what it has")]
    TooSlow {
        /// The last sequence that was sent, of a run's events.
        after: Option<u64>,
    },
    /// Ours, for now: the server is stopping.
    #[error("the server is stopping; go on in a moment")]
    Stopping {
        /// The last sequence that was sent, of a run's events.
        after: Option<u64>,
    },
    /// The caller's: a sequence that the run has not reached.
    #[error("the run's last event is {last}; `after` must not be greater")]
    BeyondEnd {
        /// The last sequence of the run.
        last: u64,
    },
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}
