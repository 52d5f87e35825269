//! Memories: facts that an owner wants remembered across sessions.

use super::time::Timestamp;

/// One remembered fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The fact, in a sentence or two.
    pub text: String,
    /// Time at which it was last saved.
    pub saved_at: Timestamp,
}
