//! Runs that wait for a person or the client: asking, waiting, and going on with the answers.
//!
//! A run that waits is nobody's task. It has no lease and no place among the running ones; its
//! log and its rows in `interrupts` are all there is of it. Whichever node takes the last
//! answer goes on with it. A run whose tool asks something during a call goes on running
//! (`question`).

pub(crate) mod call_interrupts;
pub(crate) mod input_request;

use serde_json::Value;

use talkgraph_domain::{InterruptKind, ToolCallId};

/// A call that somebody has to be asked about.
pub(crate) struct InterruptRequest {
    pub(crate) call: ToolCallId,
    pub(crate) tool: String,
    pub(crate) kind: InterruptKind,
    pub(crate) arguments: Value,
}
