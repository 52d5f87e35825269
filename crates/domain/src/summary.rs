//! Summaries of messages that a model is no longer shown.

use serde::{Deserialize, Serialize};

use super::ids::{MessageId, SessionId};

/// The longest summary, in bytes; the rest of a longer one is cut.
pub const MAX_SUMMARY_BYTES: usize = 65_536;

/// A summary of a branch from its first message to one of its messages. Stored in the transaction
/// that writes its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The session.
    pub session_id: SessionId,
    /// The last message that it covers: it is valid for the branches through this message alone.
    pub message_id: MessageId,
    /// The position of that message in its branches.
    pub position: i32,
    /// The text. A model has written it from the messages of people and tools.
    pub text: String,
}
