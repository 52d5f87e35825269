//! Where a run stands, and where it may go from there.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// Where a run stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// Accepted, waiting for a place to run.
    Queued,
    /// Being made.
    Running,
    /// Waits for a person or the client; see its interrupts.
    AwaitingInput,
    /// Ended with an answer.
    Completed,
    /// Ended with an error; what was written before it is kept.
    Failed,
    /// Stopped on request; what was written before is kept.
    Cancelled,
}

impl RunStatus {
    /// Whether nothing more can happen.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether a run may go from this state to `next`.
    pub fn allows(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => next.is_terminal() || next == Self::AwaitingInput,
            Self::AwaitingInput => next.is_terminal() || next == Self::Running,
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// A run cannot go from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from:?} cannot become {to:?}")]
pub struct IllegalTransition {
    /// Where it stands.
    pub from: RunStatus,
    /// Where it was to go.
    pub to: RunStatus,
}

#[cfg(test)]
mod tests {
    use super::RunStatus::{AwaitingInput, Cancelled, Completed, Failed, Queued, Running};

    #[test]
    fn terminal_states_are_final_and_nothing_goes_back() {
        for from in [Completed, Failed, Cancelled] {
            for to in [Queued, Running, AwaitingInput, Completed, Failed, Cancelled] {
                assert!(!from.allows(to), "{from:?} -> {to:?}");
            }
        }
        assert!(Queued.allows(Running) && !Queued.allows(Completed));
        assert!(Running.allows(Completed) && !Running.allows(Queued));
        assert!(Running.allows(AwaitingInput) && AwaitingInput.allows(Running));
        assert!(!Queued.allows(AwaitingInput) && !AwaitingInput.allows(Queued));
    }
}
