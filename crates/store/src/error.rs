//! The errors of the store, by cause.

use thiserror::Error;

use talkgraph_domain::{InterruptId, RunId};

use super::AgentRefusal;

/// A failed store call.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The caller's: no such row, or one of another principal.
    #[error("not found")]
    NotFound,
    /// The caller's: the session has an active run.
    #[error("the session has an active run, {0}")]
    ActiveRun(RunId),
    /// The caller's: the queue of the session is full.
    #[error("too many runs wait in the session")]
    QueueFull,
    /// The caller's: the idempotency key has already started this run.
    #[error("the idempotency key has started {0} before")]
    Repeated(RunId),
    /// The caller's: the idempotency key belongs to another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The caller's: the change of an agent is refused.
    #[error(transparent)]
    Agent(#[from] AgentRefusal),
    /// The caller's: the interrupt has another answer.
    #[error("{0} was answered before, and differently")]
    Resolved(InterruptId),
    /// The caller's: the requested messages exceed this many bytes.
    #[error("the messages have more than {0} bytes")]
    TooLarge(u64),
    /// The row has changed, for example a run that another node took over.
    #[error("the row was changed by another writer")]
    Conflict,
    /// Another node has taken the run over.
    #[error("another server has taken the run over")]
    Fenced,
    /// The server's: the database does not answer, or not in time; a retry may help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The server's: the database refused a statement, or a row is corrupt.
    #[error("{0}")]
    Internal(String),
}

impl StoreError {
    /// A copy for another member of the same failed group.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::NotFound => Self::NotFound,
            Self::ActiveRun(run) => Self::ActiveRun(*run),
            Self::QueueFull => Self::QueueFull,
            Self::Repeated(run) => Self::Repeated(*run),
            Self::KeyReused => Self::KeyReused,
            Self::Agent(refusal) => Self::Agent(*refusal),
            Self::Resolved(interrupt) => Self::Resolved(*interrupt),
            Self::TooLarge(most) => Self::TooLarge(*most),
            Self::Conflict => Self::Conflict,
            Self::Fenced => Self::Fenced,
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::Internal(why) => Self::Internal(why.clone()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        match &error {
            Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            sqlx::Error::Database(cause) if is_outage(cause.code().as_deref()) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// PostgreSQL's connection, resource and operator classes (08, 53, 57) and 25006, which a
/// primary that has become a standby answers (PostgreSQL documentation, appendix A), and SQLite's BUSY, LOCKED, READONLY, IOERR, FULL and
/// CANTOPEN with their extended codes (sqlite.org/rescode.html).
fn is_outage(code: Option<&str>) -> bool {
    let Some(code) = code else { return false };
    if code.len() == 5 {
        return ["08", "53", "57", "25006"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}
