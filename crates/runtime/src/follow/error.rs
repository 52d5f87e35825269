//! The errors of following a run.

use thiserror::Error;

use talkgraph_domain::{RunId, SessionId};
use talkgraph_store::StoreError;

/// Why a run cannot be followed, or no further.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The caller's: no such run, or somebody else's.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// The caller's: no such session, or somebody else's.
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    /// The caller's: a run of another session, or one that has not had its turn.
    #[error("the run {0} is none that the session has had; give `runId` and `after` together")]
    NotOfSession(RunId),
    /// The caller's: it reads more slowly than the run is made.
    #[error("this subscriber fell too far behind; go on from what it has")]
    TooSlow {
        /// The last sequence that it was told, of a run's events.
        after: Option<u64>,
    },
    /// Ours, for now: the server is stopping.
    #[error("the server is stopping; go on in a moment")]
    Stopping {
        /// The last sequence that was told, of a run's events.
        after: Option<u64>,
    },
    /// The caller's: a place the run has not reached.
    #[error("the run's last event is {last}; `after` must not be greater")]
    BeyondEnd {
        /// The last sequence there is.
        last: u64,
    },
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}
