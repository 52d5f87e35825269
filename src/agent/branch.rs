//! Runs that begin a new branch in a session's tree of messages.

use std::sync::Arc;

use crate::domain::{
    ConcurrencyPolicy, File, Message, MessageId, Principal, Role, RunId, RunOptions,
};
use crate::store::{RunInput, UNPLACED};

use super::{Runner, StartError, StartRequest, Started};

/// Where a branch begins, and how.
#[derive(Debug, Clone)]
pub struct Branching {
    /// The message that it begins at.
    pub message: MessageId,
    /// What happens to a run that is active in the session.
    pub on_active: ConcurrencyPolicy,
    /// What is asked of the run that makes it; the same as before where that is nothing.
    pub options: RunOptions,
    /// The client's key: the same one with the same request gives the same run.
    pub key: Option<String>,
}

impl Runner {
    /// Answers once more what an answer answers, or the message itself if a user said it. The
    /// new answer stands beside those that are there.
    pub async fn regenerate(
        self: &Arc<Self>,
        who: Principal,
        at: Branching,
    ) -> Result<Started, StartError> {
        let mut message = self.message(&who, at.message).await?;
        if let (Role::Assistant, Some(parent)) = (message.role, message.parent_id) {
            message = self.message(&who, parent).await?;
        }
        let input = RunInput::Again(message.clone());
        let nothing = (String::new(), Vec::new());
        self.start_at(who, at, &message, nothing, input).await
    }

    /// Says something, text and files, instead of a message, which stays beside the new one, and answers it.
    pub async fn edit(
        self: &Arc<Self>,
        who: Principal,
        at: Branching,
        said: (String, Vec<File>),
    ) -> Result<Started, StartError> {
        let message = self.message(&who, at.message).await?;
        if message.role != Role::User {
            return Err(StartError::NotFromUser(at.message));
        }
        let input = RunInput::Beside(message.clone());
        self.start_at(who, at, &message, said, input).await
    }

    async fn message(&self, who: &Principal, id: MessageId) -> Result<Message, StartError> {
        let found = self.store.messages_by_id(who, &[id]).await;
        let message = found.map_err(StartError::Store)?.pop();
        let message = message.ok_or(StartError::UnknownMessage(id))?;
        match message.position {
            UNPLACED => Err(StartError::Unplaced(id)),
            _ => Ok(message),
        }
    }

    /// What was asked of a run: whoever has its message answered again asks for the same.
    async fn options_of(&self, who: &Principal, run: RunId) -> Result<RunOptions, StartError> {
        let found = self.store.runs_by_id(who, &[run]).await;
        let run = found.map_err(StartError::Store)?.pop();
        Ok(run.map(|run| run.options).unwrap_or_default())
    }

    async fn start_at(
        self: &Arc<Self>,
        who: Principal,
        at: Branching,
        message: &Message,
        (text, files): (String, Vec<File>),
        input: RunInput,
    ) -> Result<Started, StartError> {
        let options = match at.options == RunOptions::default() {
            true => self.options_of(&who, message.run_id).await?,
            false => at.options,
        };
        let request = StartRequest {
            session: Some(message.session_id),
            agent: None,
            text,
            files,
            options,
            input,
            on_active: at.on_active,
            cancel_on_disconnect: false,
            key: at.key,
        };
        let started = self.start(who, request).await;
        started.map_err(|error| match error {
            // The session was deleted meanwhile.
            StartError::UnknownSession(_) => StartError::UnknownMessage(at.message),
            error => error,
        })
    }
}
