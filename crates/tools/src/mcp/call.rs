//! Tool calls to an MCP server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderName;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
    ClientRequest, ServerResult,
};
use rmcp::service::PeerRequestOptions;
use rmcp::{Peer, RoleClient, ServiceError};
use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use super::content::output;
use super::elicit;
use super::failure::{Failure, NOT_THERE, failed};
use super::forward::Forwarded;
use super::pending_requests::Reports;
use super::tasks::{self, Task};
use crate::{Tool, ToolContext, ToolError, ToolOutput};
use talkgraph_domain::redact::Known;

/// The time limit for notifying a server of a cancelled call.
pub(super) const CANCELLING: Duration = Duration::from_secs(5);

/// The maximum number of questions of a server before it executes a call; the limit of the
/// protocol's SDKs.
const ROUNDS: usize = 10;

/// The longest wait for a new session before a refused call is repeated.
const RENEWAL: Duration = Duration::from_secs(10);

/// The current connection to a server, if there is one.
#[derive(Default)]
pub(super) struct Line {
    current: watch::Sender<Option<Link>>,
}

/// One connection to a server.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) peer: Peer<RoleClient>,
    /// Notified when a call finds the connection dead. Each connection has its own, so that a
    /// report on one does not end the next.
    pub(super) broken: Arc<Notify>,
}

impl Line {
    pub(super) fn set(&self, link: Option<Link>) {
        self.current.send_replace(link);
    }

    fn link(&self) -> Result<Link, ToolError> {
        let link = self.current.borrow().clone();
        link.ok_or_else(Self::not_there)
    }

    /// The connection after this one, as soon as there is one.
    async fn after(&self, link: &Link) -> Result<Link, ToolError> {
        link.broken.notify_one();
        let mut current = self.current.subscribe();
        let another = current.wait_for(|current| {
            let current = current.as_ref();
            current.is_some_and(|current| !Arc::ptr_eq(&current.broken, &link.broken))
        });
        match timeout(RENEWAL, another).await {
            Ok(Ok(link)) => link.clone().ok_or_else(Self::not_there),
            _ => Err(Self::not_there()),
        }
    }

    fn not_there() -> ToolError {
        ToolError::Unreachable {
            what: NOT_THERE,
            cause: "it is being reached again".to_owned(),
        }
    }
}

/// A tool of an MCP server.
pub(super) struct McpTool {
    pub(super) line: Arc<Line>,
    /// The name on the server.
    pub(super) name: String,
    pub(super) forward_headers: Arc<[HeaderName]>,
    /// Secrets that the server has received and may repeat.
    pub(super) secrets: Known,
    /// The time limit of a call that reports progress.
    pub(super) progress_timeout: Duration,
    /// The longest message of a report of progress, in bytes.
    pub(super) progress_message_bytes: usize,
    /// Set as soon as the server has refused a plain call because it executes only tasks.
    pub(super) as_task: AtomicBool,
}

#[async_trait]
impl Tool for McpTool {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let result = self.result(context, arguments).await?;
        let is_error = result.is_error == Some(true);
        let output = output(result);
        match is_error {
            true => Err(ToolError::Failed(failed(&self.secrets.hide(&output.text)))),
            false => Ok(output),
        }
    }

    fn progress_timeout(&self) -> Option<Duration> {
        Some(self.progress_timeout)
    }
}

impl McpTool {
    /// Executes the call. A call that a server has refused because of an unknown session was not
    /// executed, so it is repeated once in a new session.
    async fn result(
        &self,
        context: &ToolContext,
        arguments: Value,
    ) -> Result<CallToolResult, ToolError> {
        let mut request = self.request(context, arguments);
        let mut link = self.line.link()?;
        let (mut is_first, mut rounds) = (true, 0);
        loop {
            let as_task = self.as_task.load(Ordering::Relaxed);
            let sent = match as_task {
                true => tasks::creation(&request, self.progress_timeout),
                false => ClientRequest::CallToolRequest(request.clone()),
            };
            let failure = match send(link.peer.clone(), sent).await {
                // The call was not executed.
                answer if !as_task && requires_task(&answer) => {
                    self.as_task.store(true, Ordering::Relaxed);
                    continue;
                }
                Ok(ServerResult::CallToolResult(result)) => return Ok(result),
                // The server asks first, and is called again with the answers (protocol
                // 2026-07-28).
                Ok(ServerResult::InputRequiredResult(wants)) if rounds < ROUNDS => {
                    rounds += 1;
                    let reports = self.reports(context);
                    let requests = wants.input_requests.unwrap_or_default();
                    let answers = elicit::answers(requests, &reports).await;
                    request.params.input_responses = Some(answers);
                    request.params.request_state = wants.request_state;
                    continue;
                }
                Ok(answer) => {
                    let (peer, reports) = (link.peer.clone(), self.reports(context));
                    let extensions = request.extensions.clone();
                    match Task::of(&answer, peer, reports, extensions).filter(|_| as_task) {
                        Some(task) => return self.followed(&task, &link).await,
                        None => Failure::of(ServiceError::UnexpectedResponse, &self.secrets),
                    }
                }
                Err(error) => Failure::of(error, &self.secrets),
            };
            match failure {
                Failure::SessionLost if is_first => link = self.line.after(&link).await?,
                Failure::SessionLost => {
                    link.broken.notify_one();
                    return Err(Line::not_there());
                }
                Failure::Dead(error) => {
                    link.broken.notify_one();
                    return Err(error);
                }
                Failure::OfCall(error) => return Err(error),
            }
            is_first = false;
        }
    }

    /// The result of a task. A lost session does not start it again: it was executed.
    async fn followed(&self, task: &Task, link: &Link) -> Result<CallToolResult, ToolError> {
        let error = match task.result().await {
            Ok(result) => return Ok(result),
            Err(Failure::OfCall(error)) => return Err(error),
            Err(Failure::SessionLost) => Line::not_there(),
            Err(Failure::Dead(error)) => error,
        };
        link.broken.notify_one();
        Err(error)
    }

    fn request(&self, context: &ToolContext, arguments: Value) -> CallToolRequest {
        let params = CallToolRequestParams::new(self.name.clone());
        let params = match arguments {
            Value::Object(arguments) => params.with_arguments(arguments),
            _ => params,
        };
        let mut request = CallToolRequest::new(params);
        let headers = context.headers.only(&self.forward_headers);
        request.extensions.insert(Forwarded(headers));
        request.extensions.insert(self.reports(context));
        request
    }

    fn reports(&self, context: &ToolContext) -> Reports {
        Reports {
            progress: context.progress.clone(),
            message_bytes: self.progress_message_bytes,
            secrets: self.secrets.clone(),
            principal: context.principal.clone(),
            asker: context.asker.clone(),
        }
    }
}

/// Returns true when a server has refused a call because it executes it only as a task.
fn requires_task(answer: &Result<ServerResult, ServiceError>) -> bool {
    match answer {
        Ok(ServerResult::CallToolResult(result)) => tasks::is_required_by_result(result),
        Err(ServiceError::McpError(error)) => tasks::is_required(error),
        _ => false,
    }
}

/// Sends a request in a task of its own, so that the server is notified when the answer is no
/// longer needed, because of a time-out or a cancelled call.
pub(super) async fn send(
    peer: Peer<RoleClient>,
    request: ClientRequest,
) -> Result<ServerResult, ServiceError> {
    let (mut tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let sent = peer.send_cancellable_request(request, PeerRequestOptions::no_options());
        let handle = match sent.await {
            Ok(handle) => handle,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        let off = CancelledNotificationParam::new(
            Some(handle.id.clone()),
            Some("nobody waits for it any more".to_owned()),
        );
        tokio::select! {
            answer = handle.await_response() => {
                // The receiver may be gone, and then needs no answer.
                let _ = tell.send(answer);
            }
            () = tell.closed() => {
                let cancelled = peer.notify_cancelled(off);
                // If the server does not receive it either, the next call finds out.
                let _ = tokio::time::timeout(CANCELLING, cancelled).await;
            }
        }
    });
    match told.await {
        Ok(answer) => answer,
        Err(_) => Err(ServiceError::TransportClosed),
    }
}
