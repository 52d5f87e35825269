//! The point of a run at which its execution begins.

use talkgraph_domain::StepPurpose;

/// The point of a run at which its execution begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumePoint {
    /// The first events are written.
    Announced,
    /// The run waits for an execution slot.
    Queued,
    /// The run waits for other runs of its session.
    Enqueued,
    /// A step was in progress when its server stopped; it is repeated.
    Again {
        /// The number of the step.
        step: u32,
        /// The sequence of its `StepStarted`.
        started: u64,
        /// The purpose of the step.
        purpose: StepPurpose,
    },
    /// The step is finished and its tool calls were in progress.
    Tools {
        /// The number of the step.
        step: u32,
    },
    /// The summary is finished or skipped; the first step of the message follows.
    Summarised {
        /// The number of the summary step.
        step: u32,
    },
    /// The message is complete; its check and the end of the run follow.
    Answered {
        /// The number of the step that completed it.
        step: u32,
    },
    /// All interrupts of the step are resolved.
    Resumed {
        /// The number of the step.
        step: u32,
    },
}
