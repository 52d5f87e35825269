//! The point of a run at which its execution begins.

use talkgraph_domain::StepPurpose;

/// Where the making of a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumePoint {
    /// Its first events are written.
    Announced,
    /// It waits for a place among those that are made.
    Queued,
    /// It waits for the other runs of its session first.
    Enqueued,
    /// The step that was under way when its server died is made again.
    Again {
        /// That step.
        step: u32,
        /// The sequence of its `StepStarted`.
        started: u64,
        /// What it is for.
        purpose: StepPurpose,
    },
    /// The step has ended and its tools were being called.
    Tools {
        /// That step.
        step: u32,
    },
    /// There is a summary, or there will be none; the answer is to be begun.
    Summarised {
        /// The step that was for it.
        step: u32,
    },
    /// The answer is whole; only the end is missing, or its check.
    Answered {
        /// The step that made it.
        step: u32,
    },
    /// All that the step has asked a person or the client is answered.
    Resumed {
        /// That step.
        step: u32,
    },
}
