//! The states of a run, and the transitions between them.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// The state of a run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// Accepted, waiting to be executed.
    Queued,
    /// Executing.
    Running,
    /// Waiting for a person or the client; see its interrupts.
    AwaitingInput,
    /// Ended with an answer.
    Completed,
    /// Ended with an error; the text written before it is kept.
    Failed,
    /// Cancelled; the text written before is kept.
    Cancelled,
}

impl RunStatus {
    /// Returns true if the state is final.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Returns true if a run may go from this state to `next`.
    pub fn allows(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => next.is_terminal() || next == Self::AwaitingInput,
            Self::AwaitingInput => next.is_terminal() || next == Self::Running,
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// A transition that the states of a run do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from:?} cannot become {to:?}")]
pub struct IllegalTransition {
    /// The current state.
    pub from: RunStatus,
    /// The refused next state.
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
