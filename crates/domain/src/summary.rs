//! Summaries: what a model is told of messages that it is no longer shown.

use serde::{Deserialize, Serialize};

use super::ids::{MessageId, SessionId};

/// The longest summary, in bytes; what a model writes beyond is cut.
pub const MAX_SUMMARY_BYTES: usize = 65_536;

/// A summary of a branch from its first message to one of its messages. Whoever writes the
/// event that tells of it keeps it in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The session.
    pub session_id: SessionId,
    /// The last message that it covers: it holds for the branches through this one alone.
    pub message_id: MessageId,
    /// That message's position in its branches.
    pub position: i32,
    /// What there is to know. A model has written it, of what people and tools have said.
    pub text: String,
}
