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
pub use messages::{BranchRange, MessageStore, Siblings, UNCOUNTED, UNPLACED, wanted};
pub use outage::Outage;
pub use runs::{RunStore, SessionUsage, TakenRun};
pub use sessions::{NewSession, SessionChange, SessionCursor, SessionFilter, SessionStore};
pub use summaries::SummaryStore;

/// The whole store.
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

/// A shared handle to the store.
pub type SharedStore = Arc<dyn Store>;

/// Maintenance of the database.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Checks that the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Writes and removes a row without meaning through the group commit. Concurrent callers share
    /// one heartbeat.
    ///
    /// # Errors The errors that the start of a run would return.
    async fn heartbeat(&self) -> Result<(), StoreError>;

    /// Checks that no other client of the database holds a lock that blocks writes of runs. Waits
    /// for such a lock for a second at most.
    async fn check_tables(&self) -> Result<(), StoreError>;

    /// The state of the writer.
    fn health(&self) -> Arc<StoreHealth>;
    /// The lead of this machine's clock over the database's; none if they are the same, or if the
    /// answer is too slow.
    async fn clock_ahead(&self) -> Result<Option<TimeDelta>, StoreError>;

    /// True if no other process used the database when this one opened it, so that every active run
    /// is left over from a process that has ended.
    fn was_alone(&self) -> bool;

    /// True if other processes usually write to the database too.
    fn is_shared(&self) -> bool;

    /// Removes deleted rows from the database's files, as soon as no reader needs them.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// Returns a bounded part of the space of deleted rows to the file system. False if there is no
    /// more for now.
    async fn give_back(&self) -> Result<bool, StoreError>;

    /// Commits queued writes and closes every connection.
    async fn close(&self);
}
