//! The child runs of a run, as recorded in its log.

use std::collections::BTreeMap;

use talkgraph_domain::{EventBody, RunId, ToolCallId};

/// The child runs of a run, as recorded in its log.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChildRunLog {
    /// The child run of each call without a result, and the sequence of its last recorded event.
    pub(crate) open: BTreeMap<ToolCallId, (RunId, u64)>,
    /// The number of child runs.
    pub(crate) begun: usize,
}

impl ChildRunLog {
    /// Applies an event of the parent's log.
    pub(crate) fn apply(&mut self, event: &EventBody) {
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
