//! The operations that a run needs of the services that start and resolve runs.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};

use talkgraph_bus::RunOutcome;
use talkgraph_domain::{
    Cost, Interrupt, ParentRun, Principal, Resolution, RunEvent, RunId, ToolCallId, Usage,
};
use talkgraph_tools::CallerHeaders;

/// The request for a child run.
pub(crate) struct ChildRequest {
    pub(crate) who: Principal,
    /// The call that the child run answers; it starts one run, however often it is requested.
    pub(crate) call: ToolCallId,
    /// The name of the agent.
    pub(crate) agent: String,
    pub(crate) message: String,
    pub(crate) variables: Map<String, Value>,
    pub(crate) headers: CallerHeaders,
    pub(crate) request_id: Option<String>,
    pub(crate) parent: ParentRun,
}

/// The progress of a child run.
pub(crate) enum ChildEvent {
    /// The child run did not start, for this reason.
    NotStarted(String),
    /// An event of the child run's log.
    Event(Arc<RunEvent>),
    /// The end of the child run; none if its outcome cannot be read.
    Ended(Option<Arc<RunOutcome>>),
}

/// The end of a child run that was cancelled with its parent.
pub(crate) struct CancelledChild {
    /// The events of its log that the parent's log does not have.
    pub(crate) events: Vec<RunEvent>,
    pub(crate) usage: Usage,
    pub(crate) cost: Option<Cost>,
}

/// Starts and cancels child runs, and resolves interrupts of a run that is not suspended.
#[async_trait]
pub(crate) trait RunControl: Send + Sync {
    /// Starts a child run, or finds the one that the same call has started, and streams the
    /// events after `after` and then its end.
    fn child_run(
        self: Arc<Self>,
        request: ChildRequest,
        after: u64,
    ) -> BoxStream<'static, ChildEvent>;

    /// Cancels a child run and returns its events after `after`.
    async fn cancel_child(
        self: Arc<Self>,
        who: Principal,
        run: RunId,
        after: u64,
    ) -> CancelledChild;

    /// Resolves an interrupt unless it is resolved already, and returns it as it is stored.
    async fn resolve_interrupt(
        self: Arc<Self>,
        who: Principal,
        interrupt: Interrupt,
        resolution: Resolution,
    ) -> Interrupt;
}
