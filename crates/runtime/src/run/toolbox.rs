//! Calling the tools that a model asks for.

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

/// A call that a model has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: ToolCallId,
    pub(crate) name: String,
    /// JSON text, as the model wrote it.
    pub(crate) arguments: String,
    /// Whether a person has approved it.
    pub(crate) is_approved: bool,
}

/// What a call came to.
pub(crate) struct Called {
    pub(crate) result: ToolResult,
    /// Whether the model has called what there is not, or with what the tool does not take.
    pub(crate) is_models_fault: bool,
}

/// News of a call.
pub(crate) enum Heard {
    /// A question of the tool's server.
    Asks(ToolCallId, Asked),
    /// A report of the tool's progress.
    Progress(ToolCallId, ToolProgress),
    /// The call's result.
    Called(Called),
}

/// The tools of one run.
#[derive(Clone)]
pub(crate) struct Toolbox {
    tools: Vec<Arc<RegisteredTool>>,
    /// Those that the client has.
    clients: Vec<Arc<ClientTool>>,
    who: Principal,
    run: RunId,
    cancel: tokio_util::sync::CancellationToken,
    /// Whether somebody can be asked.
    asks: bool,
    headers: CallerHeaders,
    files: ResultFiles,
}

impl Toolbox {
    /// The tools with these names, as far as the server has them now, and the client's own. The
    /// tools of an MCP server that is just starting are waited for, for a limited time.
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
        // An agent that a run was handed to may have one of the same name.
        let own = run.options.client_tools.iter();
        for tool in own.filter(|tool| !names.contains(&tool.name)) {
            // They were checked when the run started.
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
            // Nobody waits for the answers of a run that an agent has asked for.
            asks: run.parent.is_none(),
            headers,
            files,
        }
    }

    /// What the model is told of them.
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

    /// Whom a call has to be asked about first, with its arguments. None for those that can be
    /// made, and for those that are wrong, which the model is told by making them.
    pub(crate) async fn question(&self, call: &Call) -> Option<(InterruptKind, Value)> {
        let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
        if let Some(tool) = self.client(&call.name) {
            let arguments = tool.accept(&self.who, arguments).await.ok()?;
            return Some((InterruptKind::ClientToolCall, arguments));
        }
        let tool = self.find(&call.name)?;
        if !self.asks {
            return None;
        }
        // A person is asked only about calls that could be made.
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

    /// Makes these calls, so many at once, and gives each result as it comes, and progress in
    /// between, of each call at most once an interval.
    pub(crate) fn call_all(
        &self,
        calls: Vec<Call>,
        at_once: usize,
        interval: Duration,
    ) -> impl futures_util::Stream<Item = Heard> + Send + use<> {
        let toolbox = self.clone();
        stream::iter(calls)
            .map(move |call| Box::pin(toolbox.clone().hear(call, interval)))
            .flatten_unordered(at_once.max(1))
    }

    /// Makes a call. Of several reports of progress within an interval the latest counts, and the
    /// last one of a call always does.
    fn hear(
        self,
        call: Call,
        interval: Duration,
    ) -> impl futures_util::Stream<Item = Heard> + Send {
        async_stream::stream! {
            let (id, progress) = (call.id, Progress::default());
            let mut reports = progress.watch();
            let (asker, mut questions) = Asker::new();
            // The asker is dropped with the call, and may be before.
            let asker = self.asks.then_some(asker);
            let mut called = std::pin::pin!(self.call(call, progress, asker));
            let (mut next, mut told) = (Instant::now(), 0);
            loop {
                let report = async {
                    if reports.changed().await.is_err() {
                        // The call lets go of its end just before it comes back.
                        std::future::pending::<()>().await;
                    }
                    sleep_until(next).await;
                };
                let ended = tokio::select! {
                    ended = &mut called => Some(ended),
                    () = report => None,
                    Some(asked) = questions.recv() => {
                        yield Heard::Asks(id, asked);
                        continue;
                    }
                };
                let reported = reports.borrow_and_update().clone();
                if let Some(latest) = reported.latest.filter(|_| reported.reports > told) {
                    (next, told) = (Instant::now() + interval, reported.reports);
                    yield Heard::Progress(id, latest);
                }
                if let Some(ended) = ended {
                    yield Heard::Called(ended);
                    return;
                }
            }
        }
    }

    async fn call(&self, call: Call, progress: Progress, asker: Option<Asker>) -> Called {
        let called = self.try_call(&call, progress, asker).await;
        let is_models_fault = matches!(
            called,
            Err(ToolError::Unknown(_) | ToolError::Arguments(_) | ToolError::NotJson(_))
        );
        let result = match called {
            Ok(output) => self.files.keep(&self.who, call.id, output).await,
            Err(error) => ToolResult::of_text(call.id, error.public_message(), true),
        };
        Called {
            result,
            is_models_fault,
        }
    }

    async fn try_call(
        &self,
        call: &Call,
        progress: Progress,
        asker: Option<Asker>,
    ) -> Result<talkgraph_tools::ToolOutput, ToolError> {
        let arguments = serde_json::from_str(&call.arguments)
            .map_err(|error| ToolError::NotJson(error.to_string()));
        if let Some(tool) = self.client(&call.name) {
            tool.accept(&self.who, arguments?).await?;
            // Only the client makes it.
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

    /// What is told of a call that may have been made by a server that died, and whether it
    /// can be made once more.
    pub(crate) fn in_doubt(&self, call: &Call) -> Option<ToolResult> {
        let idempotent = self
            .find(&call.name)
            .is_none_or(|tool| tool.definition().idempotent);
        let told = "The server stopped while this call was under way. Whether it took effect is \
                    not known, and it was not made again.";
        (!idempotent).then(|| ToolResult::of_text(call.id, told, true))
    }
}
