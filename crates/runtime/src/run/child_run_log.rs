//! The child runs of a run, as its log tells of them.

use std::collections::BTreeMap;

use talkgraph_domain::{EventBody, RunId, ToolCallId};

/// The runs that a run has asked for, as far as its log tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChildRunLog {
    /// By the calls that have no result yet: the child, and the last of its events that was told.
    pub(crate) open: BTreeMap<ToolCallId, (RunId, u64)>,
    /// How many there were.
    pub(crate) begun: usize,
}

impl ChildRunLog {
    /// Takes in an event of the log of the run that asks.
    pub(crate) fn know(&mut self, event: &EventBody) {
        match event {
            EventBody::ChildRunEvent {
                tool_call_id,
                event,
            } => {
                let known = (event.run_id, event.sequence);
                let is_new = self.open.insert(*tool_call_id, known).is_none();
                self.begun += usize::from(is_new);
            }
            EventBody::ToolCallCompleted { result } => {
                self.open.remove(&result.tool_call_id);
            }
            _ => {}
        }
    }
}
