//! Tools and what their calls give.

use std::sync::Arc;

use async_graphql::{Enum, Object, SimpleObject};
use serde_json::Value;

use super::message::{ResultContent, contents};
use super::sized::{Data, Text};
use talkgraph_tools::{RegisteredTool, ToolOutput};

pub(crate) struct Tool(pub(crate) Arc<RegisteredTool>);

/// Something that an agent can have the server do.
#[Object]
impl Tool {
    /// The name that agents and `callTool` choose it by.
    async fn name(&self) -> &str {
        &self.0.definition().name
    }

    /// What models are told about it.
    async fn description(&self) -> Text<&str> {
        Text(&self.0.definition().description)
    }

    /// The JSON Schema of its arguments.
    async fn parameters(&self) -> Data<&Value> {
        Data(&self.0.definition().parameters)
    }

    /// Whether calling it twice does no more than calling it once.
    async fn idempotent(&self) -> bool {
        self.0.definition().idempotent
    }

    /// Which calls that an agent makes a person has to approve.
    async fn approval(&self) -> ApprovalPolicy {
        self.0.definition().approval.policy().into()
    }
}

/// A tool that cannot be offered now.
#[derive(SimpleObject)]
pub(crate) struct UnavailableTool {
    /// The name that agents choose it by. `server__*` stands for all tools of an MCP server.
    name: Text,
    /// The reason, in words for people.
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

/// Which calls of a tool a person has to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_tools::ApprovalPolicy")]
pub(crate) enum ApprovalPolicy {
    /// No call.
    Never,
    /// Each call.
    Always,
    /// It depends on the arguments.
    Conditional,
}

/// What a tool answered.
#[derive(SimpleObject)]
#[graphql(name = "ToolOutput")]
pub(crate) struct Output {
    /// The text. What was cut is marked at its end.
    text: Text,
    /// Whether the tool said more than the server lets through.
    truncated: bool,
    /// The output with its shape: texts, values, files and resources, in order. Its files are
    /// not stored: select their `data` here.
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

/// Why a tool did not answer.
#[derive(SimpleObject)]
pub(crate) struct ToolFailure {
    /// What kind of failure it is.
    pub(crate) code: ToolFailureCode,
    /// What a model would be told.
    pub(crate) message: Text,
}

/// A kind of failure of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ToolFailureCode {
    /// The call was cancelled.
    Cancelled,
    /// The tool itself says that it failed.
    Failed,
    /// Another server answered, but not with success.
    HttpStatus,
    /// The URL may not be reached from this server.
    Refused,
    /// The call took longer than it may.
    TimedOut,
    /// Another server did not answer, or not to the end.
    Unreachable,
}
