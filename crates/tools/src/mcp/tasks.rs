//! Calls that a server executes as tasks. It responds with a task, whose state is polled until it
//! has ended; then the result is requested.
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks>
//!
//! The client library supports only the tasks of a later protocol, so these requests are built
//! here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolResult, ClientRequest, ContentBlock, CustomRequest, ErrorData,
    Extensions, ServerResult,
};
use rmcp::{Peer, RoleClient, ServiceError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::call::{CANCELLING, send};
use super::failure::{Failure, failed};
use super::pending_requests::Reports;
use crate::ToolError;

/// The shortest polling interval, and the one for a server that suggests none.
const SHORTEST_POLL: Duration = Duration::from_millis(100);
const USUAL_POLL: Duration = Duration::from_secs(1);
/// The longest polling interval.
const LONGEST_POLL: Duration = Duration::from_secs(5);

/// The JSON-RPC code with which a plain call of a tool that requires a task is refused.
const METHOD_NOT_FOUND: i32 = -32_601;

/// Returns true for the error with which a server refuses a plain call because it requires a task.
pub(super) fn is_required(error: &ErrorData) -> bool {
    let says_so = says_required(&error.message);
    let message = error.message.to_ascii_lowercase();
    says_so || (error.code.0 == METHOD_NOT_FOUND && message.contains("task"))
}

/// Returns true for the result with which the TypeScript SDK refuses such a call: it turns its
/// error into a result.
/// <https://github.com/modelcontextprotocol/typescript-sdk/blob/v1.x/src/server/mcp.ts>
pub(super) fn is_required_by_result(result: &CallToolResult) -> bool {
    let [ContentBlock::Text(text)] = result.content.as_slice() else {
        return false;
    };
    let is_refusal = text.text.starts_with("MCP error -32601:");
    result.is_error == Some(true) && is_refusal && says_required(&text.text)
}

fn says_required(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("requires task") || message.contains("requires a task")
}

/// A call as a task, which the server may forget after `ttl`.
pub(super) fn creation(call: &CallToolRequest, ttl: Duration) -> ClientRequest {
    let mut params = serde_json::to_value(&call.params).unwrap_or_default();
    if let Value::Object(fields) = &mut params {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        fields.insert("task".to_owned(), json!({ "ttl": ttl }));
    }
    custom("tools/call", params, &call.extensions)
}

fn custom(method: &str, params: Value, extensions: &Extensions) -> ClientRequest {
    let mut request = CustomRequest::new(method, Some(params));
    request.extensions = extensions.clone();
    ClientRequest::CustomRequest(request)
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Working,
    InputRequired,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    task_id: String,
    status: Status,
    status_message: Option<String>,
    /// The suggested interval, in milliseconds.
    poll_interval: Option<f64>,
}

/// A task that a server has created for a call. Cancelled if it is dropped before it has ended.
pub(super) struct Task {
    peer: Peer<RoleClient>,
    reports: Reports,
    /// The extensions of the call's request: the caller's headers and the destination of its
    /// progress.
    extensions: Extensions,
    created: State,
    changes: AtomicU64,
    ended: AtomicBool,
}

impl Task {
    /// The task of a server's answer; none if the answer is something else.
    pub(super) fn of(
        answer: &ServerResult,
        peer: Peer<RoleClient>,
        reports: Reports,
        extensions: Extensions,
    ) -> Option<Self> {
        let mut answer = serde_json::to_value(answer).ok()?;
        let created = serde_json::from_value(answer.get_mut("task")?.take()).ok()?;
        Some(Self {
            peer,
            reports,
            extensions,
            created,
            changes: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// The result, as soon as the task has ended.
    pub(super) async fn result(&self) -> Result<CallToolResult, Failure> {
        let (status, message) = self.poll(false).await?;
        let result = match status {
            Status::Cancelled => {
                let why = "the MCP server has cancelled its task".to_owned();
                return Err(Failure::OfCall(ToolError::Failed(with(why, message))));
            }
            // Its questions arrive while the result is awaited.
            Status::InputRequired => {
                let mut result = std::pin::pin!(self.payload());
                tokio::select! {
                    biased;
                    result = &mut result => result,
                    ended = self.poll(true) => {
                        ended?;
                        result.await
                    }
                }
            }
            _ => self.payload().await,
        };
        match result {
            Err(Failure::OfCall(ToolError::Failed(why))) if status == Status::Failed => {
                let why = match message {
                    Some(message) => format!("{message} ({why})"),
                    None => why,
                };
                Err(Failure::OfCall(ToolError::Failed(why)))
            }
            result => result,
        }
    }

    /// Polls the state until the task has ended, or until it waits for input, unless its questions
    /// are being answered. Each change is reported as progress of the call.
    async fn poll(&self, answering: bool) -> Result<(Status, Option<String>), Failure> {
        let message = self.shown(self.created.status_message.as_deref());
        let mut known = (self.created.status, message);
        let mut interval = interval(self.created.poll_interval).unwrap_or(USUAL_POLL);
        loop {
            match known.0 {
                Status::Working => {}
                Status::InputRequired if answering => {}
                Status::InputRequired => return Ok(known),
                Status::Completed | Status::Failed | Status::Cancelled => {
                    self.ended.store(true, Ordering::Relaxed);
                    return Ok(known);
                }
            }
            sleep(interval).await;
            let state = self.state().await?;
            interval = self::interval(state.poll_interval).unwrap_or(interval);
            let message = self.shown(state.status_message.as_deref());
            let now = (state.status, message);
            if now != known {
                let changes = self.changes.fetch_add(1, Ordering::Relaxed);
                let changes = u32::try_from(changes.saturating_add(1)).unwrap_or(u32::MAX);
                let progress = &self.reports.progress;
                progress.report(f64::from(changes), None, now.1.clone());
                known = now;
            }
        }
    }

    async fn state(&self) -> Result<State, Failure> {
        let answer = self.ask("tasks/get").await?;
        let state = serde_json::to_value(&answer).ok();
        let state = state.and_then(|state| serde_json::from_value(state).ok());
        state.ok_or_else(|| self.failure(ServiceError::UnexpectedResponse))
    }

    async fn payload(&self) -> Result<CallToolResult, Failure> {
        let answer = self.ask("tasks/result").await?;
        self.ended.store(true, Ordering::Relaxed);
        match answer {
            ServerResult::CallToolResult(result) => Ok(result),
            _ => Err(self.failure(ServiceError::UnexpectedResponse)),
        }
    }

    async fn ask(&self, method: &str) -> Result<ServerResult, Failure> {
        let answer = send(self.peer.clone(), self.request(method)).await;
        answer.map_err(|error| self.failure(error))
    }

    fn request(&self, method: &str) -> ClientRequest {
        let params = json!({ "taskId": self.created.task_id });
        custom(method, params, &self.extensions)
    }

    fn failure(&self, error: ServiceError) -> Failure {
        Failure::of(error, &self.reports.secrets)
    }

    /// A message in the form that may be shown.
    fn shown(&self, message: Option<&str>) -> Option<String> {
        message.map(|message| self.reports.shown(message))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let cancelled = send(self.peer.clone(), self.request("tasks/cancel"));
        // A server that does not receive it forgets the task after its time to live.
        runtime.spawn(timeout(CANCELLING, cancelled));
    }
}

/// The polling interval that a server suggests, within limits.
fn interval(suggested: Option<f64>) -> Option<Duration> {
    let seconds = suggested? / 1_000.0;
    let (shortest, longest) = (SHORTEST_POLL.as_secs_f64(), LONGEST_POLL.as_secs_f64());
    let bounded = seconds.clamp(shortest, longest);
    Duration::try_from_secs_f64(bounded).ok()
}

fn with(why: String, message: Option<String>) -> String {
    match message {
        Some(message) => failed(&format!("{why}: {message}")),
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::ErrorCode;

    use super::*;

    #[test]
    fn refusals_that_require_a_task_are_recognised() {
        for (code, message, required) in [
            (-32_601, "Tool x requires task augmentation", true),
            (-32_601, "Task augmentation required", true),
            (-32_603, "Tool x requires task mode", true),
            (-32_601, "Method not found", false),
            (-32_602, "task not found", false),
        ] {
            let error = ErrorData::new(ErrorCode(code), message, None);
            assert_eq!(is_required(&error), required, "{code} {message}");
        }
    }

    #[test]
    fn the_time_between_two_requests_is_bounded() {
        assert_eq!(interval(None), None);
        assert_eq!(interval(Some(f64::NAN)), None);
        for (suggested, used) in [(-1.0, 100), (0.0, 100), (750.0, 750), (1e300, 5_000)] {
            let used = Duration::from_millis(used);
            assert_eq!(interval(Some(suggested)), Some(used), "{suggested}");
        }
    }
}
