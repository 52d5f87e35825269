//! A store that panics or never answers, where a test wants it to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{
    Agent, AgentId, AgentSpec, AgentVersion, AgentVersionId, File, FileId, Interrupt, InterruptId,
    Memory, Message, MessageId, NodeId, Page, PageRequest, Principal, Run, RunEvent, RunId,
    Session, SessionId, Summary,
};
use talkgraph_store::{
    AgentChange, AgentStore, Answered, BranchRange, DeletionStore, EventLog, FileStore,
    FinishedRun, InterruptStore, KeptKey, Maintenance, MemoryStore, MessageStore, NewAnswers,
    NewEvents, NewKey, NewRun, NewSession, Purge, Reply, Rewind, RunStore, SessionChange,
    SessionCursor, SessionFilter, SessionStore, SessionUsage, SharedStore, Siblings, StartedRun,
    StoreError, StoreHealth, SummaryStore, TakenRun, Turn, TurnRequest, VersionCursor,
};

/// Switches the faults of a [`Faulty`] store.
#[derive(Clone, Default)]
pub(crate) struct Fault {
    is_on: Arc<AtomicBool>,
    stalls: bool,
    /// Holds on to its thread for as long as this file is there.
    sticks: Option<PathBuf>,
}

/// A store whose methods of these names fail while the fault is on.
pub(crate) struct Faulty {
    pub(crate) store: SharedStore,
    pub(crate) methods: &'static [&'static str],
    pub(crate) fault: Fault,
}

impl Fault {
    /// A fault that is no panic but a wait without end.
    pub(crate) fn stall() -> Self {
        Self {
            stalls: true,
            ..Self::default()
        }
    }

    /// A fault that holds on to its thread for as long as a file is there.
    pub(crate) fn stick(file: PathBuf) -> Self {
        Self {
            is_on: Arc::new(AtomicBool::new(true)),
            stalls: false,
            sticks: Some(file),
        }
    }

    pub(crate) fn set(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::SeqCst);
    }
}

impl Faulty {
    async fn pass(&self, method: &str) {
        let is_on = self.fault.is_on.load(Ordering::SeqCst);
        if is_on && self.methods.contains(&method) {
            if let Some(file) = &self.fault.sticks {
                return stick(file);
            }
            assert!(self.fault.stalls, "a scripted panic");
            std::future::pending::<()>().await;
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a task that holds on to its thread is what is tested"
)]
fn stick(file: &Path) {
    while file.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

macro_rules! delegate {
    ($($trait:ident {
        $(fn $name:ident($($arg:ident: $type:ty),*) -> $output:ty;)*
        $(told fn $told:ident() -> $answer:ty;)*
    })*) => {$(
        #[async_trait]
        impl $trait for Faulty {
            $(fn $told(&self) -> $answer {
                self.store.$told()
            })*

            $(async fn $name(&self, $($arg: $type),*) -> $output {
                self.pass(stringify!($name)).await;
                self.store.$name($($arg),*).await
            })*
        }
    )*};
}

type Outcome<T> = Result<T, StoreError>;

delegate! {
    AgentStore {
        fn sync_file_agents(specs: &[AgentSpec]) -> Outcome<Vec<Agent>>;
        fn change_agent(who: &Principal, change: &AgentChange) -> Outcome<Agent>;
        fn agents_by_id(who: &Principal, ids: &[AgentId]) -> Outcome<Vec<Agent>>;
        fn agent_by_name(who: &Principal, name: &str) -> Outcome<Option<Agent>>;
        fn agents(who: &Principal, page: &PageRequest<String>) -> Outcome<Page<Agent>>;
        fn agent_versions_by_id(who: &Principal, ids: &[AgentVersionId])
            -> Outcome<Vec<AgentVersion>>;
        fn agent_versions(who: &Principal, agent: AgentId, page: &PageRequest<VersionCursor>)
            -> Outcome<Page<AgentVersion>>;
    }
    SessionStore {
        fn create_session(who: &Principal, session: NewSession) -> Outcome<Session>;
        fn update_session(who: &Principal, id: SessionId, change: SessionChange)
            -> Outcome<Session>;
        fn switch_branch(who: &Principal, message: MessageId) -> Outcome<Session>;
        fn fork_session(who: &Principal, message: MessageId, new: SessionId, title: Option<&str>)
            -> Outcome<Session>;
        fn delete_session(who: &Principal, id: SessionId) -> Outcome<()>;
        fn sessions_by_id(who: &Principal, ids: &[SessionId]) -> Outcome<Vec<Session>>;
        fn sessions_even_deleted(who: &Principal, ids: &[SessionId]) -> Outcome<Vec<Session>>;
        fn sessions(who: &Principal, filter: &SessionFilter, page: &PageRequest<SessionCursor>)
            -> Outcome<Page<Session>>;
    }
    MessageStore {
        fn messages_by_id(who: &Principal, ids: &[MessageId]) -> Outcome<Vec<Message>>;
        fn branches(who: &Principal, ranges: &[BranchRange], most: u64) -> Outcome<Vec<Vec<Message>>>;
        fn siblings(who: &Principal, of: &[Siblings], limit: u32) -> Outcome<Vec<Vec<MessageId>>>;
    }
    RunStore {
        fn runs_by_id(who: &Principal, ids: &[RunId]) -> Outcome<Vec<Run>>;
        fn enqueued_runs(who: &Principal, sessions: &[SessionId]) -> Outcome<Vec<Run>>;
        fn child_runs(who: &Principal, parents: &[RunId]) -> Outcome<Vec<Run>>;
        fn runs_by_turn(who: &Principal, session: SessionId, turn: i32, limit: u32)
            -> Outcome<Vec<Run>>;
        fn usage_of_sessions(who: &Principal, sessions: &[SessionId]) -> Outcome<Vec<SessionUsage>>;
        fn take_turn(turn: TurnRequest) -> Outcome<Turn>;
        fn runs_of_node(node: NodeId, limit: u32) -> Outcome<Vec<TakenRun>>;
        fn give_back_runs(node: NodeId) -> Outcome<()>;
        fn release_held(run: &Run, node: NodeId, alone_since: Option<Timestamp>) -> Outcome<bool>;
        fn clear_suspicion(run: &Run, node: NodeId) -> Outcome<()>;
        fn has_run(run: RunId, node: NodeId, fence: i64) -> Outcome<bool>;
        fn branch_before(run: RunId) -> Outcome<Option<Rewind>>;
        fn keep_key(who: &Principal, key: &NewKey, run: RunId) -> Outcome<KeptKey>;
        fn start_run(run: NewRun) -> Outcome<StartedRun>;
        fn kept_key(who: &Principal, key: &str, at: TimeDelta) -> Outcome<Option<KeptKey>>;
        fn forget_keys(at: TimeDelta, limit: u32) -> Outcome<u64>;
        fn finish_run(run: FinishedRun) -> Outcome<()>;
        fn renew_leases(node: NodeId, lease: TimeDelta) -> Outcome<()>;
        fn take_expired_runs(node: NodeId, at: TimeDelta, lease: TimeDelta, limit: u32)
            -> Outcome<Vec<TakenRun>>;
    }
    EventLog {
        fn append_events(events: NewEvents, done: Reply<()>) -> Outcome<()>;
        fn events(who: &Principal, run: RunId, after: u64, limit: u32) -> Outcome<Vec<RunEvent>>;
        fn runs_to_compact(before: TimeDelta, limit: u32) -> Outcome<Vec<(Principal, Run)>>;
        fn compact_log(who: &Principal, run: RunId, kept: &[RunEvent], at: Timestamp)
            -> Outcome<()>;
    }
    InterruptStore {
        fn interrupts_by_id(who: &Principal, ids: &[InterruptId]) -> Outcome<Vec<Interrupt>>;
        fn open_interrupts_of(who: &Principal, runs: &[RunId]) -> Outcome<Vec<Interrupt>>;
        fn open_interrupts(who: &Principal, page: &PageRequest<InterruptId>)
            -> Outcome<Page<Interrupt>>;
        fn resolve_interrupts(new: NewAnswers) -> Outcome<Answered>;
        fn claim_awaiting_run(who: &Principal, run: RunId, node: NodeId) -> Outcome<Option<Run>>;
        fn expired_interrupts(at: TimeDelta, limit: u32)
            -> Outcome<Vec<(Principal, Interrupt)>>;
    }
    MemoryStore {
        fn save_memory(who: &Principal, memory: &Memory, most: u32) -> Outcome<()>;
        fn memories(who: &Principal, limit: u32) -> Outcome<Vec<Memory>>;
    }
    FileStore {
        fn save_files(who: &Principal, files: &[File]) -> Outcome<()>;
        fn save_result_files(who: &Principal, run: RunId, files: &[File]) -> Outcome<()>;
        fn files_by_id(who: &Principal, ids: &[FileId]) -> Outcome<Vec<File>>;
        fn delete_files(who: &Principal, ids: &[FileId]) -> Outcome<()>;
    }
    SummaryStore {
        fn summary_of_branch(who: &Principal, head: MessageId) -> Outcome<Option<Summary>>;
    }
    DeletionStore {
        fn sessions_to_purge(limit: u32) -> Outcome<Vec<SessionId>>;
        fn purge_session(session: SessionId, at: Timestamp) -> Outcome<Purge>;
        fn forget_tombstones(before: Timestamp, limit: u32) -> Outcome<u64>;
    }
    Maintenance {
        fn ping() -> Outcome<()>;
        fn heartbeat() -> Outcome<()>;
        fn check_tables() -> Outcome<()>;
        fn scrub() -> Outcome<()>;
        fn give_back() -> Outcome<bool>;
        fn clock_ahead() -> Outcome<Option<TimeDelta>>;
        fn close() -> ();
        told fn was_alone() -> bool;
        told fn is_shared() -> bool;
        told fn health() -> Arc<StoreHealth>;
    }
}
