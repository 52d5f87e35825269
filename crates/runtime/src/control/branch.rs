//! Runs that begin a new branch in a session's tree of messages.

use std::sync::Arc;

use talkgraph_domain::{
    ConcurrencyPolicy, Message, MessageId, Principal, Role, RunId, RunOptions, RunOverrides,
    SessionId,
};
use talkgraph_store::{RunInput, SharedStore, UNPLACED};

use talkgraph_tools::CallerHeaders;

use crate::control::start::{StartRequest, Started, Starter};
use crate::control::start_error::StartError;
use crate::control::uploads::SentFile;

/// The start of a branch.
#[derive(Debug, Clone)]
pub struct Branching {
    /// The message that it begins at.
    pub message: MessageId,
    /// The effect on a run that is active in the session.
    pub on_active: ConcurrencyPolicy,
    /// The options that differ from those of the run that it repeats.
    pub overrides: RunOverrides,
    /// The headers of the caller's request that tools of the run may pass on.
    pub headers: CallerHeaders,
    /// See [`StartRequest::request_id`].
    pub request_id: Option<String>,
    /// The client's key: the same one with the same request gives the same run.
    pub key: Option<String>,
}

/// Starts runs on new branches.
pub struct Branches {
    pub(crate) store: SharedStore,
    pub(crate) starter: Arc<Starter>,
}

impl Branches {
    /// Answers the parent of an assistant's message again, or a user's message itself. The new
    /// answer is a sibling of the existing ones.
    pub async fn regenerate(&self, who: Principal, at: Branching) -> Result<Started, StartError> {
        let mut message = self.message(&who, at.message).await?;
        let before = self.options_of(&who, message.run_id).await?;
        if let (Role::Assistant, Some(parent)) = (message.role, message.parent_id) {
            message = self.message(&who, parent).await?;
        }
        let session = message.session_id;
        let nothing = (String::new(), Vec::new());
        let input = RunInput::Again(message);
        self.start_at(who, at, before, session, nothing, input)
            .await
    }

    /// Adds a user's message, text and files, as a sibling of another one, and answers it.
    pub async fn edit(
        &self,
        who: Principal,
        at: Branching,
        said: (String, Vec<SentFile>),
    ) -> Result<Started, StartError> {
        let message = self.message(&who, at.message).await?;
        if message.role != Role::User {
            return Err(StartError::NotFromUser(at.message));
        }
        let before = self.options_of(&who, message.run_id).await?;
        let session = message.session_id;
        let input = RunInput::Beside(message);
        self.start_at(who, at, before, session, said, input).await
    }

    /// The options of the run that wrote a message or was started by it.
    async fn options_of(&self, who: &Principal, run: RunId) -> Result<RunOptions, StartError> {
        let found = self.store.runs_by_id(who, &[run]).await;
        let run = found.map_err(StartError::Store)?.pop();
        Ok(run.map(|run| run.options).unwrap_or_default())
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

    async fn start_at(
        &self,
        who: Principal,
        at: Branching,
        before: RunOptions,
        session: SessionId,
        (text, files): (String, Vec<SentFile>),
        input: RunInput,
    ) -> Result<Started, StartError> {
        let request = StartRequest {
            parent: None,
            session: Some(session),
            agent: None,
            text,
            files,
            options: at.overrides.over(before),
            headers: at.headers,
            request_id: at.request_id,
            input,
            on_active: at.on_active,
            cancel_on_disconnect: false,
            key: at.key,
        };
        let started = self.starter.start(who, request).await;
        started.map_err(|error| match error {
            // The session was deleted meanwhile.
            StartError::UnknownSession(_) => StartError::UnknownMessage(at.message),
            error => error,
        })
    }
}
