//! Runs that begin a new branch in a session's tree of messages.

use std::sync::Arc;

use crate::domain::{ConcurrencyPolicy, Message, MessageId, Principal, Role, SessionId};
use crate::store::RunInput;

use super::{Runner, StartError, StartRequest, Started};

impl Runner {
    /// Answers once more what the answer `id` answers, or the message `id` itself if a user
    /// said it. The new answer stands beside those that are there.
    pub async fn regenerate(
        self: &Arc<Self>,
        who: Principal,
        id: MessageId,
    ) -> Result<Started, StartError> {
        let mut message = self.message(&who, id).await?;
        if let (Role::Assistant, Some(parent)) = (message.role, message.parent_id) {
            message = self.message(&who, parent).await?;
        }
        let session = message.session_id;
        let input = RunInput::Again(message);
        self.start_at(who, id, session, String::new(), input).await
    }

    /// Says `text` instead of the message `id`, which stays beside the new one, and answers it.
    pub async fn edit(
        self: &Arc<Self>,
        who: Principal,
        id: MessageId,
        text: String,
    ) -> Result<Started, StartError> {
        let message = self.message(&who, id).await?;
        if message.role != Role::User {
            return Err(StartError::NotFromUser(id));
        }
        let session = message.session_id;
        let input = RunInput::Beside(message);
        self.start_at(who, id, session, text, input).await
    }

    async fn message(&self, who: &Principal, id: MessageId) -> Result<Message, StartError> {
        let found = self.store.messages_by_id(who, &[id]).await;
        let mut messages = found.map_err(StartError::Store)?;
        messages.pop().ok_or(StartError::UnknownMessage(id))
    }

    async fn start_at(
        self: &Arc<Self>,
        who: Principal,
        id: MessageId,
        session: SessionId,
        text: String,
        input: RunInput,
    ) -> Result<Started, StartError> {
        let request = StartRequest {
            session: Some(session),
            agent: None,
            text,
            input,
            on_active: ConcurrencyPolicy::Reject,
            key: None,
        };
        let started = self.start(who, request).await;
        started.map_err(|error| match error {
            // The session was deleted meanwhile.
            StartError::UnknownSession(_) => StartError::UnknownMessage(id),
            error => error,
        })
    }
}
