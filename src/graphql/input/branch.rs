//! What clients send about the branches of a session.

use async_graphql::{ID, InputObject};

use crate::domain::MessageId;
use crate::graphql::{ApiError, ApiLimits};

use super::{MessageInput, parse_id};

/// The argument that names the message a branch begins or ends at.
pub(crate) const MESSAGE: &str = "input.messageId";

/// What to answer once more.
#[derive(Debug, InputObject)]
pub(crate) struct RegenerateInput {
    /// The answer to make again; or what a person said, which is then answered again.
    message_id: ID,
}

/// What to say instead.
#[derive(Debug, InputObject)]
pub(crate) struct EditMessageInput {
    /// What the person said before.
    message_id: ID,
    /// What the person says instead.
    message: MessageInput,
}

/// Which branch of a session to show.
#[derive(Debug, InputObject)]
pub(crate) struct SwitchBranchInput {
    /// A message of that branch.
    message_id: ID,
}

impl SwitchBranchInput {
    pub(crate) fn check(self) -> Result<MessageId, ApiError> {
        parse_id(MESSAGE, &self.message_id)
    }
}

impl RegenerateInput {
    pub(crate) fn check(self) -> Result<MessageId, ApiError> {
        parse_id(MESSAGE, &self.message_id)
    }
}

impl EditMessageInput {
    pub(crate) fn check(self, limits: &ApiLimits) -> Result<(MessageId, String), ApiError> {
        let message = parse_id(MESSAGE, &self.message_id)?;
        Ok((message, self.message.check(limits)?))
    }
}
