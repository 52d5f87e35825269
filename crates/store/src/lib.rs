//! All SQL. A folder for each aggregate with its trait and implementation (`mod.rs`), its
//! statements (`sql.rs`) and its rows (`rows.rs`); `commit` with the group commit; `sqlite` and
//! `postgres` with the differences of the databases, which no other crate knows.
//!
//! Every read takes the [`Principal`](talkgraph_domain::Principal) and returns only its rows. A
//! row of another principal is not found, exactly like one that does not exist.

pub(crate) mod agents;
pub(crate) mod commit;
pub(crate) mod deletion;
pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod interrupts;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod memories;
pub(crate) mod messages;
mod outage;
pub(crate) mod pools;
pub mod postgres;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod sql;
pub mod sqlite;
pub(crate) mod summaries;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;

pub use agents::{AgentChange, AgentRefusal, AgentStore, VersionCursor};
pub use commit::group::{
    FinishedRun, IfBusy, KeptKey, NewEvents, NewKey, NewRun, Reply, Rewind, RunInput,
    SessionTarget, StartedRun, Turn, TurnRequest,
};
pub use commit::writer::WriterSettings;
pub use deletion::{DeletionStore, Purge};
pub use error::StoreError;
pub use files::FileStore;
pub use health::StoreHealth;
pub use interrupts::{Answered, InterruptStore, NewAnswers};
pub use log::EventLog;
pub use memories::MemoryStore;
pub use messages::{BranchRange, Kin, MessageStore, UNCOUNTED, UNPLACED, wanted};
pub use outage::Outage;
pub use runs::{RunStore, SessionUsage, TakenRun};
pub use sessions::{NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore};
pub use summaries::SummaryStore;

/// The whole store, as the rest of the server holds it.
pub trait Store:
    AgentStore
    + SessionStore
    + MessageStore
    + RunStore
    + EventLog
    + InterruptStore
    + MemoryStore
    + FileStore
    + SummaryStore
    + DeletionStore
    + Maintenance
{
}

impl<T> Store for T where
    T: AgentStore
        + SessionStore
        + MessageStore
        + RunStore
        + EventLog
        + InterruptStore
        + MemoryStore
        + FileStore
        + SummaryStore
        + DeletionStore
        + Maintenance
{
}

/// A shared handle on the store.
pub type SharedStore = Arc<dyn Store>;

/// Keeping the database itself.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Writes something of no meaning by way of the group commit, as runs are written. Callers
    /// that come while one is under way share it.
    ///
    /// # Errors
    /// The errors that the start of a run would meet.
    async fn heartbeat(&self) -> Result<(), StoreError>;

    /// Checks that no other client of the database holds a lock that keeps runs from being
    /// written. Waits for such a lock for a second at most.
    async fn check_tables(&self) -> Result<(), StoreError>;

    /// The state of the writer.
    fn health(&self) -> Arc<StoreHealth>;
    /// The lead of this machine's clock over the database's; none where the database has
    /// no other, or answers too slowly to tell.
    async fn clock_ahead(&self) -> Result<Option<TimeDelta>, StoreError>;

    /// Whether no other process used the database when this one opened it, so that every
    /// active run in it is left over from one that is gone.
    fn was_alone(&self) -> bool;

    /// Whether other processes usually write to the database too.
    fn is_shared(&self) -> bool;

    /// Sees to it that what has been deleted leaves the database's files, as soon as nothing
    /// reads it any more.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// Gives a bounded part of the space that deletions have left back to the file system. False
    /// if no more is to be given for now.
    async fn give_back(&self) -> Result<bool, StoreError>;

    /// Commits what is queued and closes every connection.
    async fn close(&self);
}
