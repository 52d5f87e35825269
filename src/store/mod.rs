//! All SQL. One trait for each aggregate, one folder for each database; nothing outside
//! this room knows which database it is.
//!
//! Every read takes the [`Principal`] and returns only its rows. What belongs to somebody
//! else is not found, exactly as what does not exist.

pub(crate) mod api_agents;
pub(crate) mod commit;
pub(crate) mod compact;
pub(crate) mod error;
pub(crate) mod file_agents;
pub(crate) mod files;
mod gather;
pub(crate) mod group;
pub(crate) mod interrupts;
pub(crate) mod keys;
pub(crate) mod log_rows;
pub(crate) mod memories;
pub mod postgres;
pub(crate) mod queries;
pub(crate) mod rows;
pub mod sqlite;
pub(crate) mod summaries;
pub(crate) mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

pub use api_agents::{AgentChange, AgentRefusal, VersionCursor};
pub use error::StoreError;
pub use files::FileStore;
pub use group::{
    FinishedRun, IfBusy, KeptKey, NewEvents, NewKey, NewRun, Reply, Rewind, RunInput,
    SessionTarget, StartedRun, Turn, TurnRequest,
};
pub use interrupts::{Answered, InterruptStore, NewAnswers};
pub use memories::MemoryStore;
pub use summaries::SummaryStore;
pub use writer::WriterSettings;

use crate::domain::time::Timestamp;
use crate::domain::{
    Agent, AgentId, AgentSpec, AgentVersion, AgentVersionId, Cost, Message, MessageId, NodeId,
    Page, PageRequest, Principal, Run, RunEvent, RunId, Session, SessionId, Usage,
};

/// The position of a message whose run waits for its turn: it is not in the tree yet.
pub const UNPLACED: i32 = -1;

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
        + Maintenance
{
}

/// A shared handle on the store.
pub type SharedStore = Arc<dyn Store>;

/// Agents and their versions. File agents belong to the shared tenant and are visible to
/// every principal; those made through the API belong to their tenant. Where both have the
/// same name, it is the file's.
#[async_trait]
pub trait AgentStore: Send + Sync {
    /// Makes the stored file agents equal to `specs`: new ones are added, changed ones get
    /// a new version, missing ones are archived. Returns the agents in the order of `specs`.
    async fn sync_file_agents(&self, specs: &[AgentSpec]) -> Result<Vec<Agent>, StoreError>;

    /// Makes or changes an agent of the principal's tenant, in one transaction. Returns it as it
    /// is then. `NotFound` when the tenant has no such agent, `Agent` when it cannot be done.
    async fn change_agent(
        &self,
        who: &Principal,
        change: &AgentChange,
    ) -> Result<Agent, StoreError>;

    /// The agents with these ids, archived ones included, in no particular order.
    async fn agents_by_id(
        &self,
        who: &Principal,
        ids: &[AgentId],
    ) -> Result<Vec<Agent>, StoreError>;

    /// The agent with this name, unless archived.
    async fn agent_by_name(&self, who: &Principal, name: &str)
    -> Result<Option<Agent>, StoreError>;

    /// Agents by name, archived ones left out. A cursor is a name.
    async fn agents(
        &self,
        who: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<Agent>, StoreError>;

    /// The versions with these ids, in no particular order.
    async fn agent_versions_by_id(
        &self,
        who: &Principal,
        ids: &[AgentVersionId],
    ) -> Result<Vec<AgentVersion>, StoreError>;

    /// The versions of an agent, latest first.
    async fn agent_versions(
        &self,
        who: &Principal,
        agent: AgentId,
        page: &PageRequest<VersionCursor>,
    ) -> Result<Page<AgentVersion>, StoreError>;
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The agent that will answer.
    pub agent_id: AgentId,
    /// The run that it is made for, where one agent asks another.
    pub parent_run: Option<RunId>,
    /// Its title, if it has one yet.
    pub title: Option<String>,
    /// The client's own data, a JSON object.
    pub metadata: Value,
    /// When.
    pub created_at: Timestamp,
}

/// What to change about a session; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct SessionChange {
    /// The new title; `Some(None)` removes it.
    pub title: Option<Option<String>>,
    /// The new metadata, replacing the old.
    pub metadata: Option<Value>,
}

/// Which sessions a list has.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only those of this agent.
    pub agent_id: Option<AgentId>,
    /// Only those whose title has this text, whatever the case of its ASCII letters.
    pub title_contains: Option<String>,
}

/// A session's place in the list of sessions: latest activity first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionCursor {
    /// Its last activity.
    pub updated_at: Timestamp,
    /// Its id, which decides between equal times.
    pub id: SessionId,
}

/// Sessions. Deleted ones are never returned.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Makes a session.
    async fn create_session(
        &self,
        who: &Principal,
        session: NewSession,
    ) -> Result<Session, StoreError>;

    /// Changes a session. `NotFound` when the principal has no such session.
    async fn update_session(
        &self,
        who: &Principal,
        id: SessionId,
        change: SessionChange,
    ) -> Result<Session, StoreError>;

    /// Makes the branch through this message the visible one, down to what was written last
    /// below it. `NotFound` when the principal has no such message, `ActiveRun` while a run is
    /// being made in its session.
    async fn switch_branch(
        &self,
        who: &Principal,
        message: MessageId,
    ) -> Result<Session, StoreError>;

    /// Makes a session with a copy of the branch up to this message, in one transaction.
    /// `NotFound` when the principal has no such message, or it has no place in the tree yet.
    async fn fork_session(
        &self,
        who: &Principal,
        message: MessageId,
        new: SessionId,
        title: Option<&str>,
    ) -> Result<Session, StoreError>;

    /// Deletes a session, and those that were made for its runs: they can no longer be read or
    /// used. `ActiveRun` while a run is
    /// being made in it.
    async fn delete_session(&self, who: &Principal, id: SessionId) -> Result<(), StoreError>;

    /// The sessions with these ids, in no particular order.
    async fn sessions_by_id(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError>;

    /// As [`SessionStore::sessions_by_id`], deleted ones included.
    async fn sessions_even_deleted(
        &self,
        who: &Principal,
        ids: &[SessionId],
    ) -> Result<Vec<Session>, StoreError>;

    /// Sessions, latest activity first.
    async fn sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<Session>, StoreError>;
}

/// A stretch of a branch: the messages at positions `from..to`, walking up from `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BranchRange {
    /// The session.
    pub session: SessionId,
    /// The branch's last message, or a later one of the branch than are wanted.
    pub head: MessageId,
    /// The first position wanted.
    pub from: i32,
    /// The position after the last one wanted.
    pub to: i32,
}

/// Messages that have one parent, told by one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kin {
    /// Those with the same parent as this message, itself included; those without a parent
    /// are the first messages of its session.
    Beside(MessageId),
    /// Those with this message as their parent.
    Below(MessageId),
}

/// Messages.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// The messages with these ids, in no particular order; those of deleted sessions are
    /// left out.
    async fn messages_by_id(
        &self,
        who: &Principal,
        ids: &[MessageId],
    ) -> Result<Vec<Message>, StoreError>;

    /// Reads several branches in one statement. Answers in the order of `ranges`, each
    /// oldest first.
    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
    ) -> Result<Vec<Vec<Message>>, StoreError>;

    /// The ids of the latest `limit` of each kin, in one statement; of those beside a message
    /// that message is always one. Answers in the order of `kin`, each oldest first.
    async fn kin(
        &self,
        who: &Principal,
        kin: &[Kin],
        limit: u32,
    ) -> Result<Vec<Vec<MessageId>>, StoreError>;
}

/// What the ended runs of a session have used together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionUsage {
    /// The session.
    pub session: SessionId,
    /// Tokens.
    pub usage: Usage,
    /// What they cost, if that is known of every run.
    pub cost: Option<Cost>,
}

/// Runs. Their state changes only through [`RunStore::start_run`],
/// [`EventLog::append_events`] and [`RunStore::finish_run`], which write the events that
/// announce the change in the same transaction.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// The runs with these ids, in no particular order; those of deleted sessions are left out.
    async fn runs_by_id(&self, who: &Principal, ids: &[RunId]) -> Result<Vec<Run>, StoreError>;

    /// The runs of these sessions that wait for their turn, in that order.
    async fn enqueued_runs(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<Run>, StoreError>;

    /// The runs that these runs have asked for, oldest first.
    async fn child_runs(&self, who: &Principal, parents: &[RunId]) -> Result<Vec<Run>, StoreError>;

    /// The runs of a session that had their turn after `turn`, in that order, at most `limit`.
    async fn runs_by_turn(
        &self,
        who: &Principal,
        session: SessionId,
        turn: i32,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError>;

    /// What the ended runs of these sessions have used, in no particular order; sessions without
    /// such runs are left out.
    async fn usage_of_sessions(
        &self,
        who: &Principal,
        sessions: &[SessionId],
    ) -> Result<Vec<SessionUsage>, StoreError>;

    /// Starts a run: the session when it is new, the user's message, the run, its first
    /// events and its key, all or nothing. Where the session is busy, [`NewRun::if_busy`] says
    /// what becomes of it: `ActiveRun` or `QueueFull`, or it is enqueued, without its events.
    /// `NotFound` when the principal has no such session, `Repeated` or `KeyReused` when the
    /// key has started a run that it still stands for.
    async fn start_run(&self, run: NewRun) -> Result<StartedRun, StoreError>;

    /// Gives an enqueued run its turn. `ActiveRun` with the run that is before it, `Conflict`
    /// when it is another node's or has ended.
    async fn take_turn(&self, turn: TurnRequest) -> Result<Turn, StoreError>;

    /// What a key stands for at `now`.
    async fn kept_key(
        &self,
        who: &Principal,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<KeptKey>, StoreError>;

    /// Keeps a key that stands for `run`, unless it stands for something at `now`. Returns what
    /// it stands for then.
    async fn keep_key(
        &self,
        who: &Principal,
        key: &NewKey,
        run: RunId,
        now: Timestamp,
    ) -> Result<KeptKey, StoreError>;

    /// Removes keys, at most `limit`, that have expired by `now`. Returns how many.
    async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Ends a run: its last events, its answer and its final state, all or nothing.
    /// `Conflict` when it is no longer this node's to end, or when earlier events could not
    /// be written and `mends_log` is not set. `Unavailable` also when the events do not follow
    /// what the log has: read it again and number them anew.
    async fn finish_run(&self, run: FinishedRun) -> Result<(), StoreError>;

    /// Says that `node` is alive until `until`, for all its active runs but those that wait for
    /// answers, which nobody makes. A time that has
    /// passed gives them away.
    async fn renew_leases(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError>;

    /// Active runs, at most `limit`, those that wait for answers left out, whose node has not renewed its lease by `now`, with
    /// their principals. They are made `node`'s own with a lease until `until`.
    async fn take_expired_runs(
        &self,
        node: NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError>;

    /// The running runs, at most `limit`, that are this node's, with their principals.
    async fn runs_of_node(
        &self,
        node: NodeId,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError>;

    /// Where the branch ended before a run, if that is known.
    async fn branch_before(&self, run: RunId) -> Result<Option<Rewind>, StoreError>;
}

/// The event log of every run.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Queues events for the next group commit and returns once they have a place in the
    /// queue. `done` is called after they are committed, in the order they were queued, or
    /// with `Conflict` when they do not follow what the run's log has.
    async fn append_events(&self, events: NewEvents, done: Reply<()>) -> Result<(), StoreError>;

    /// The events of a run after `after`, in order, at most about `limit` (groups are
    /// returned whole).
    async fn events(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RunEvent>, StoreError>;

    /// Runs, at most `limit`, that ended before `before` and whose log is whole, with their
    /// principals.
    async fn runs_to_compact(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError>;

    /// Removes all of a run's log but `kept`, its last events, and remembers when. What was
    /// removed is stood for by one `LogCompacted`. Does nothing a second time.
    async fn compact_log(
        &self,
        who: &Principal,
        run: RunId,
        kept: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Keeping the database itself.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Whether no other process used the database when this one opened it, so that every
    /// active run in it is left over from one that is gone.
    fn was_alone(&self) -> bool;

    /// Whether other processes usually write to the database too.
    fn is_shared(&self) -> bool;

    /// Commits what is queued and closes every connection.
    async fn close(&self);
}
