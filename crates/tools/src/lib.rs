//! Tools: functions that a model, or a person with `callTool`, can have the server execute.
//!
//! [`ToolRegistry`] has them all by name. A call goes through [`RegisteredTool::call`]: the
//! arguments are validated, time and size are bounded, and each error states whether the caller may
//! see it.

mod approval;
mod builtin;
mod client;
mod context;
mod definition;
mod egress;
mod error;
mod fetch;
mod hidden_characters;
mod http;
mod mcp;
mod memory;
mod output;
mod progress;
mod questions;
mod registry;
mod schema;
mod servers;
mod structured_answer;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

pub use approval::{Approval, ApprovalError, ApprovalPolicy};
pub use builtin::{Calculator, CurrentTime};
pub use client::ClientTool;
pub use context::{CallerHeaders, ToolContext};
pub use definition::{MAX_NAME_CHARS, ToolDefinition, is_valid_name};
pub use egress::{
    EgressClient, EgressLimits, EgressPolicy, Lookup, ProxyTarget, Refusal, SystemLookup,
};
pub use error::ToolError;
pub use fetch::{Fetched, FileFetch, HttpFetch};
pub use http::headers as http_headers;
pub use http::{HttpTool, HttpToolError, HttpToolKey, HttpToolSpec};
pub use mcp::{McpGuard, McpKeepers, McpServerSpec, McpTransport, ServerNameError, guard_programs};
pub use memory::{Memories, MemorySave, MemorySearch};
pub use output::{OutputLimits, ToolOutput};
pub use progress::{Progress, Reported};
pub use questions::{Asked, Asker, InputAnswer};
pub use registry::{RegisterError, RegisteredTool, RegistryLimits, ToolRegistry};
pub use schema::{ArgumentError, SchemaError};
pub use servers::{ServerState, Servers, UnavailableTool};
pub use structured_answer::{AnswerProblem, AnswerSchema};

/// The implementation of a tool. Its name, its parameters and its time limit are in its
/// [`ToolDefinition`]; an implementation need check none of them.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Executes a call. `arguments` are valid against the definition's parameters. The future is
    /// dropped when the call takes too long or is cancelled.
    ///
    /// # Errors Each states whether the model may see it ([`ToolError::public_message`]).
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError>;

    /// The time limit of a call that reports progress; none if no call does.
    fn progress_timeout(&self) -> Option<Duration> {
        None
    }
}
