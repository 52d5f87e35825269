//! The tools of a run and their calls.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use talkgraph_domain::{
    InterruptKind, Principal, Run, RunId, ToolCallId, ToolProgress, ToolResult,
};
use talkgraph_llm::ToolSpec;
use talkgraph_tools::{
    Asked, Asker, CallerHeaders, ClientTool, Progress, RegisteredTool, ToolContext, ToolError,
    ToolRegistry,
};

use crate::run::files::result_files::ResultFiles;

/// A tool call of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: ToolCallId,
    pub(crate) name: String,
    /// JSON text, as the model wrote it.
    pub(crate) arguments: String,
    /// True if a person has approved the call.
    pub(crate) is_approved: bool,
}

/// The outcome of a tool call.
pub(crate) struct CallOutcome {
    pub(crate) result: ToolResult,
    /// True if the model called an unknown tool, or with invalid arguments.
    pub(crate) is_models_fault: bool,
}

/// An event of a tool call.
pub(crate) enum ToolEvent {
    /// An input request of the tool's server.
    InputRequested(ToolCallId, Asked),
    /// The progress of the call.
    Progress(ToolCallId, ToolProgress),
    /// The outcome of the call.
    Completed(CallOutcome),
}

/// The tools of one run.
#[derive(Clone)]
pub(crate) struct Toolbox {
    tools: Vec<Arc<RegisteredTool>>,
    /// The tools of the client.
    clients: Vec<Arc<ClientTool>>,
    who: Principal,
    run: RunId,
    cancel: tokio_util::sync::CancellationToken,
    /// True if approvals and input requests are possible; false for child runs.
    may_ask: bool,
    headers: CallerHeaders,
    files: ResultFiles,
}

impl Toolbox {
    /// The tools with these names that the server has now, and the client's own. Waits, for a
    /// limited time, for the tools of an MCP server that is starting.
    pub(crate) async fn new(
        registry: &ToolRegistry,
        names: &[String],
        who: Principal,
        run: &Run,
        cancel: tokio_util::sync::CancellationToken,
        headers: CallerHeaders,
        files: ResultFiles,
    ) -> Self {
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        registry.settled(&wanted).await;
        let mut clients = Vec::new();
        // The agent of a hand-off may have a tool of the same name.
        let own = run.options.client_tools.iter();
        for tool in own.filter(|tool| !names.contains(&tool.name)) {
            // Client tools are validated when the run starts.
            if let Ok(tool) = registry.client_tool(&who, tool).await {
                clients.push(Arc::new(tool));
            }
        }
        Self {
            clients,
            tools: names.iter().filter_map(|name| registry.get(name)).collect(),
            who,
            run: run.id,
            cancel,
            // No client resolves interrupts of a child run.
            may_ask: run.parent.is_none(),
            headers,
            files,
        }
    }

    /// The definitions of the tools for the model.
    pub(crate) fn specs(&self) -> Vec<ToolSpec> {
        let spec = |tool: &Arc<RegisteredTool>| ToolSpec {
            name: tool.definition().name.clone(),
            description: tool.definition().description.clone(),
            parameters: tool.definition().parameters.clone(),
        };
        let clients = self.clients.iter().map(|tool| tool.definition());
        let clients = clients.map(|tool| ToolSpec {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
        });
        self.tools.iter().map(spec).chain(clients).collect()
    }

    /// The interrupt that the call needs before it is executed, with its arguments. None for calls
    /// that need no interrupt, and for invalid calls, whose execution reports the error to the
    /// model.
    pub(crate) async fn interrupt_for(&self, call: &ToolCall) -> Option<(InterruptKind, Value)> {
        let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
        if let Some(tool) = self.client(&call.name) {
            let arguments = tool.accept(&self.who, arguments).await.ok()?;
            return Some((InterruptKind::ClientToolCall, arguments));
        }
        let tool = self.find(&call.name)?;
        if !self.may_ask {
            return None;
        }
        // Only calls that can be executed are worth an approval.
        let arguments = tool.accept(&self.who, arguments).await.ok()?;
        let asks = !call.is_approved && tool.needs_approval(&self.who, &arguments).await;
        asks.then_some((InterruptKind::ToolApproval, arguments))
    }

    fn client(&self, name: &str) -> Option<&Arc<ClientTool>> {
        self.clients
            .iter()
            .find(|tool| tool.definition().name == name)
    }

    fn find(&self, name: &str) -> Option<&Arc<RegisteredTool>> {
        self.tools
            .iter()
            .find(|tool| tool.definition().name == name)
    }

    /// Executes these calls, at most `at_once` at a time, and streams each outcome and, at most
    /// once in `interval` for each call, its progress.
    pub(crate) fn call_all(
        &self,
        calls: Vec<ToolCall>,
        at_once: usize,
        interval: Duration,
    ) -> impl futures_util::Stream<Item = ToolEvent> + Send + use<> {
        let toolbox = self.clone();
        stream::iter(calls)
            .map(move |call| Box::pin(toolbox.clone().events(call, interval)))
            .flatten_unordered(at_once.max(1))
    }

    /// Executes a call. Of several progress reports within an interval the latest counts, and the
    /// last one of a call is always sent.
    fn events(
        self,
        call: ToolCall,
        interval: Duration,
    ) -> impl futures_util::Stream<Item = ToolEvent> + Send {
        async_stream::stream! {
            let (id, progress) = (call.id, Progress::default());
            let mut reports = progress.watch();
            let (asker, mut questions) = Asker::new();
            // The asker is dropped with the call, and may be dropped before.
            let asker = self.may_ask.then_some(asker);
            let mut called = std::pin::pin!(self.call(call, progress, asker));
            let (mut next, mut told) = (Instant::now(), 0);
            loop {
                let report = async {
                    if reports.changed().await.is_err() {
                        // The call drops its sender just before it returns.
                        std::future::pending::<()>().await;
                    }
                    sleep_until(next).await;
                };
                let ended = tokio::select! {
                    ended = &mut called => Some(ended),
                    () = report => None,
                    Some(asked) = questions.recv() => {
                        yield ToolEvent::InputRequested(id, asked);
                        continue;
                    }
                };
                let reported = reports.borrow_and_update().clone();
                if let Some(latest) = reported.latest.filter(|_| reported.reports > told) {
                    (next, told) = (Instant::now() + interval, reported.reports);
                    yield ToolEvent::Progress(id, latest);
                }
                if let Some(ended) = ended {
                    yield ToolEvent::Completed(ended);
                    return;
                }
            }
        }
    }

    async fn call(&self, call: ToolCall, progress: Progress, asker: Option<Asker>) -> CallOutcome {
        let called = self.try_call(&call, progress, asker).await;
        let is_models_fault = matches!(
            called,
            Err(ToolError::Unknown(_) | ToolError::Arguments(_) | ToolError::NotJson(_))
        );
        let result = match called {
            Ok(output) => self.files.keep(&self.who, call.id, output).await,
            Err(error) => ToolResult::of_text(call.id, error.public_message(), true),
        };
        CallOutcome {
            result,
            is_models_fault,
        }
    }

    async fn try_call(
        &self,
        call: &ToolCall,
        progress: Progress,
        asker: Option<Asker>,
    ) -> Result<talkgraph_tools::ToolOutput, ToolError> {
        let arguments = serde_json::from_str(&call.arguments)
            .map_err(|error| ToolError::NotJson(error.to_string()));
        if let Some(tool) = self.client(&call.name) {
            tool.accept(&self.who, arguments?).await?;
            // The client executes it.
            return Err(ToolError::NotApproved);
        }
        let tool = self.find(&call.name);
        let tool = tool.ok_or_else(|| ToolError::Unknown(call.name.clone()))?;
        let arguments = tool.accept(&self.who, arguments?).await?;
        if !call.is_approved && tool.needs_approval(&self.who, &arguments).await {
            return Err(ToolError::NotApproved);
        }
        let context = ToolContext {
            principal: self.who.clone(),
            run: Some(self.run),
            call_id: call.id.to_string().into(),
            cancel: self.cancel.child_token(),
            headers: self.headers.clone(),
            progress,
            asker,
        };
        tool.call(&context, arguments).await
    }

    /// The result of a call that a stopped server may have executed; none if it can be repeated.
    pub(crate) fn in_doubt(&self, call: &ToolCall) -> Option<ToolResult> {
        let idempotent = self
            .find(&call.name)
            .is_none_or(|tool| tool.definition().idempotent);
        let told = "The server stopped while this call was under way. Whether it took effect is \
                    not known, and it was not made again.";
        (!idempotent).then(|| ToolResult::of_text(call.id, told, true))
    }
}
