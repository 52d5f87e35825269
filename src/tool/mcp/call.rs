//! Calling a server's tool.

use std::sync::{Arc, PoisonError, RwLock};
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
use tokio::sync::{Notify, oneshot};

use super::content::output;
use super::forward::Forwarded;
use crate::domain::redact::Known;
use crate::tool::output::shortened;
use crate::tool::visible::visible;
use crate::tool::{Tool, ToolContext, ToolError, ToolOutput};

/// The longest account of a failure that a model is shown, in bytes.
const FAILURE_BYTES: usize = 2_000;

const NOT_THERE: &str = "its MCP server is not there now";

/// How long telling a server that a call is off may take.
const CANCELLING: Duration = Duration::from_secs(5);

/// The way to a server, while there is one.
#[derive(Default)]
pub(super) struct Line {
    current: RwLock<Option<Link>>,
}

/// One connection to a server.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) peer: Peer<RoleClient>,
    /// Told when a call finds that it is dead. Each connection has its own, so that what is
    /// said of one does not end the next.
    pub(super) broken: Arc<Notify>,
}

impl Line {
    pub(super) fn set(&self, link: Option<Link>) {
        // What is behind the lock is replaced whole, so a panic cannot have left half of it.
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = link;
    }

    fn link(&self) -> Result<Link, ToolError> {
        let current = self.current.read();
        let link = current.unwrap_or_else(PoisonError::into_inner).clone();
        link.ok_or(ToolError::Unreachable {
            what: NOT_THERE,
            cause: "it is being reached again".to_owned(),
        })
    }
}

/// A tool of an MCP server.
pub(super) struct McpTool {
    pub(super) line: Arc<Line>,
    /// As the server calls it.
    pub(super) name: String,
    pub(super) forward_headers: Arc<[HeaderName]>,
    /// Secrets that the server has received and may repeat.
    pub(super) secrets: Known,
}

#[async_trait]
impl Tool for McpTool {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let link = self.line.link()?;
        let params = CallToolRequestParams::new(self.name.clone());
        let params = match arguments {
            Value::Object(arguments) => params.with_arguments(arguments),
            _ => params,
        };
        let mut request = CallToolRequest::new(params);
        let headers = context.headers.only(&self.forward_headers);
        request.extensions.insert(Forwarded(headers));
        let request = ClientRequest::CallToolRequest(request);
        let answer = send(link.peer.clone(), request).await;
        let result = answer.map_err(|error| failure(error, &link, &self.secrets))?;
        let is_error = result.is_error == Some(true);
        let output = output(result);
        match is_error {
            true => Err(ToolError::Failed(failed(&self.secrets.hide(&output.text)))),
            false => Ok(output),
        }
    }
}

fn failure(error: ServiceError, link: &Link, secrets: &Known) -> ToolError {
    match error {
        ServiceError::McpError(error) => ToolError::Failed(failed(&secrets.hide(&error.message))),
        ServiceError::UnexpectedResponse => {
            ToolError::Failed("the tool gave an answer of an unknown kind".to_owned())
        }
        error => {
            link.broken.notify_one();
            ToolError::Unreachable {
                what: NOT_THERE,
                cause: failed(&secrets.hide(&error.to_string())),
            }
        }
    }
}

/// An account of a failure in the server's words.
fn failed(words: &str) -> String {
    visible(&shortened(words, FAILURE_BYTES)).into_owned()
}

/// Sends a request in a task of its own, so that the server is told when nobody waits for the
/// answer any more, because of a time-out or because the call was cancelled.
async fn send(
    peer: Peer<RoleClient>,
    request: ClientRequest,
) -> Result<CallToolResult, ServiceError> {
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
                // Whoever has gone meanwhile does not want it.
                let _ = tell.send(answer);
            }
            () = tell.closed() => {
                let cancelled = peer.notify_cancelled(off);
                // A server that does not hear it either is found out by the next call.
                let _ = tokio::time::timeout(CANCELLING, cancelled).await;
            }
        }
    });
    match told.await {
        Ok(Ok(ServerResult::CallToolResult(result))) => Ok(result),
        Ok(Ok(_)) => Err(ServiceError::UnexpectedResponse),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ServiceError::TransportClosed),
    }
}
