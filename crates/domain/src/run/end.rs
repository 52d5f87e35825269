//! The ends of runs and answers.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::{RunError, RunStatus};

/// The reason why an answer ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum FinishReason {
    /// The model finished its answer.
    Stop,
    /// The model called tools. The reason of a step, since the run continues with their results.
    ToolCalls,
    /// A limit on output or context was reached.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// The run was cancelled.
    Cancelled,
    /// The run failed, and the text is the part that was written before. Of a step: it failed, and
    /// the run continued without it.
    Error,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// The run has an answer.
    Completed(FinishReason),
    /// The run has failed.
    Failed(RunError),
    /// The run was cancelled.
    Cancelled,
}

impl RunEnd {
    /// The final state of the run.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Completed(_) => RunStatus::Completed,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }
}
