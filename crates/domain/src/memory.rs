//! What an owner wants remembered from one session to the next.

use super::time::Timestamp;

/// One thing to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// What it is, in a sentence or two.
    pub text: String,
    /// When it was last said.
    pub saved_at: Timestamp,
}
