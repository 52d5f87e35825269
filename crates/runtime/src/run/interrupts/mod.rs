//! Interrupts: runs that wait for a person or the client.
//!
//! A suspended run has no task, no lease and no execution slot; its log and its rows in
//! `interrupts` are all there is of it. The node that stores the last resolution resumes it. A run
//! whose tool requests input during a call is not suspended (`input_request`).

pub(crate) mod call_interrupts;
pub(crate) mod input_request;

use serde_json::Value;

use talkgraph_domain::{InterruptKind, ToolCallId};

/// A request to resolve a call.
pub(crate) struct InterruptRequest {
    pub(crate) call: ToolCallId,
    pub(crate) tool: String,
    pub(crate) kind: InterruptKind,
    pub(crate) arguments: Value,
}
