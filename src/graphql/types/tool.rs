//! Tools and the results of their calls.

use std::sync::Arc;

use async_graphql::{Enum, Object, SimpleObject};
use serde_json::Value;

use super::message::{ResultContent, contents};
use super::sized::{Data, Text};
use talkgraph_tools::{RegisteredTool, ToolOutput};

pub(crate) struct Tool(pub(crate) Arc<RegisteredTool>);

/// A function that an agent's model can have the server call.
#[Object]
impl Tool {
    /// The name that agents and `callTool` select the tool by.
    async fn name(&self) -> &str {
        &self.0.definition().name
    }

    /// The description that models receive.
    async fn description(&self) -> Text<&str> {
        Text(&self.0.definition().description)
    }

    /// The JSON Schema of the arguments.
    async fn parameters(&self) -> Data<&Value> {
        Data(&self.0.definition().parameters)
    }

    /// True if repeating a call has no further effect.
    async fn idempotent(&self) -> bool {
        self.0.definition().idempotent
    }

    /// The policy by which a person must approve an agent's calls.
    async fn approval(&self) -> ApprovalPolicy {
        self.0.definition().approval.policy().into()
    }
}

/// A tool that is unavailable now.
#[derive(SimpleObject)]
pub(crate) struct UnavailableTool {
    /// The name that agents select the tool by. `server__*` means all tools of an MCP server.
    name: Text,
    /// The reason, as a sentence for people.
    reason: Text,
}

impl From<talkgraph_tools::UnavailableTool> for UnavailableTool {
    fn from(tool: talkgraph_tools::UnavailableTool) -> Self {
        Self {
            name: Text(tool.name),
            reason: Text(tool.reason),
        }
    }
}

/// The policy by which a person must approve calls of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_tools::ApprovalPolicy")]
pub(crate) enum ApprovalPolicy {
    /// No call needs approval.
    Never,
    /// Each call needs approval.
    Always,
    /// The need for approval depends on the arguments.
    Conditional,
}

/// The output of a tool.
#[derive(SimpleObject)]
#[graphql(name = "ToolOutput")]
pub(crate) struct Output {
    /// The text. A cut is marked at its end.
    text: Text,
    /// True if the output exceeded the server's limit and was cut.
    truncated: bool,
    /// The structured output: texts, values, files and resources, in order. Its files are not
    /// stored: select their `data` here.
    parts: Vec<ResultContent>,
}

impl From<ToolOutput> for Output {
    fn from(output: ToolOutput) -> Self {
        Self {
            parts: contents(&output.text, &output.parts, &output.files),
            text: Text(output.text),
            truncated: output.truncated,
        }
    }
}

/// The failure of a tool call.
#[derive(SimpleObject)]
pub(crate) struct ToolFailure {
    /// The kind of failure.
    pub(crate) code: ToolFailureCode,
    /// The message that a model would receive.
    pub(crate) message: Text,
}

/// A kind of failure of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ToolFailureCode {
    /// The call was cancelled.
    Cancelled,
    /// The tool reported an error.
    Failed,
    /// Another server responded with an HTTP error status.
    HttpStatus,
    /// The server's egress rules forbid the URL.
    Refused,
    /// The call took longer than allowed.
    TimedOut,
    /// Another server did not respond, or not completely.
    Unreachable,
}
