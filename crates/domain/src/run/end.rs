//! How a run ends.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::{RunError, RunStatus};

/// Why an answer ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The model called tools; of a step, as the run goes on with their results.
    ToolCalls,
    /// A limit on output or context was reached.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// Somebody stopped the run.
    Cancelled,
    /// The run failed; the text is what was there by then. Of a step: it came to nothing, and
    /// the run went on without it.
    Error,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// With an answer.
    Completed(FinishReason),
    /// With an error.
    Failed(RunError),
    /// On request.
    Cancelled,
}

impl RunEnd {
    /// The state that it leads to.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Completed(_) => RunStatus::Completed,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }
}
