//! Mutations.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, MaybeUndefined, Object, Result};
use serde_json::json;
use tokio::time::Instant;

use super::input::{
    ChatInput, CreateSessionInput, UpdateSessionInput, check_metadata, check_title, parse_id,
};
use super::types::message::Message;
use super::types::payload::{
    CancelRunPayload, ChatPayload, CreateSessionPayload, DeleteSessionPayload, SendMessagePayload,
    UpdateSessionPayload,
};
use super::types::run::Run;
use super::types::session::Session;
use super::{ApiError, Code, api, principal};
use crate::bus::RunOutcome;
use crate::domain::time::now;
use crate::domain::{self, RunId, SessionId};
use crate::store::{NewSession, SessionChange, StoreError};

/// How long `cancelRun` waits to be able to say how the run ended.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// What can be changed.
pub struct Mutation;

/// What can be changed.
#[Object]
impl Mutation {
    /// Says something to an agent and waits for its answer. The run goes on if the client
    /// does not wait.
    async fn chat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is said, and where.")] input: ChatInput,
    ) -> Result<ChatPayload> {
        let api = api(ctx)?;
        let deadline = Instant::now() + api.limits.chat_timeout;
        let request = input.check(&api.limits)?;
        let started = api.runner.start(principal(ctx)?.clone(), request).await;
        let started = started.map_err(ApiError::from)?;
        let run = started.stored.run.id;
        let finished = tokio::time::timeout_at(deadline, started.live.finished()).await;
        let Ok(Some(outcome)) = finished else {
            return Err(goes_on(run).into());
        };
        let session = answered(started.stored.session, &outcome);
        Ok(ChatPayload {
            session: Session(Arc::new(session)),
            user_message: Message::stored(Arc::new(started.stored.message)),
            message: outcome
                .message
                .clone()
                .map(|message| Message::stored(Arc::new(message))),
            run: Run::loaded(Arc::new(outcome.run.clone())),
        })
    }

    /// Says something to an agent and returns at once; `runEvents` tells the rest.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is said, and where.")] input: ChatInput,
    ) -> Result<SendMessagePayload> {
        let api = api(ctx)?;
        let request = input.check(&api.limits)?;
        let started = api.runner.start(principal(ctx)?.clone(), request).await;
        let stored = started.map_err(ApiError::from)?.stored;
        Ok(SendMessagePayload {
            session: Session(Arc::new(stored.session)),
            user_message: Message::stored(Arc::new(stored.message)),
            run: Run::loaded(Arc::new(stored.run)),
        })
    }

    /// Stops a run; what it has written is kept. A run that has ended stays as it is.
    async fn cancel_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's id.")] id: ID,
    ) -> Result<CancelRunPayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let run_id: RunId = parse_id("id", &id)?;
        let find = async || {
            let run = api.store.runs_by_id(who, &[run_id]).await?.pop();
            run.ok_or_else(|| ApiError::not_found("id", format!("there is no run {run_id}")))
        };
        let run = find().await?;
        if run.status.is_terminal() {
            return Ok(CancelRunPayload {
                run: Run::loaded(Arc::new(run)),
            });
        }
        let Some(live) = api.runner.cancel(run_id) else {
            return again(find().await?);
        };
        let ended = tokio::time::timeout(CANCEL_PATIENCE, live.finished()).await;
        let run = match ended.ok().flatten() {
            Some(outcome) => outcome.run.clone(),
            None => find().await?,
        };
        Ok(CancelRunPayload {
            run: Run::loaded(Arc::new(run)),
        })
    }

    /// Makes a session.
    async fn create_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session to make.")] input: Option<CreateSessionInput>,
    ) -> Result<CreateSessionPayload> {
        let api = api(ctx)?;
        let input = input.unwrap_or_default();
        let catalog = api.runner.catalog();
        let agent = match &input.agent {
            None => catalog.default_agent(),
            Some(name) => catalog.by_name(name).ok_or_else(|| {
                ApiError::not_found("input.agent", format!("there is no agent {name:?}"))
            })?,
        };
        if let Some(title) = &input.title {
            check_title(title, &api.limits)?;
        }
        let metadata = input
            .metadata
            .map_or_else(|| json!({}), |metadata| metadata.0);
        check_metadata(&metadata, &api.limits)?;
        let new = NewSession {
            id: SessionId::new(),
            agent_id: agent.id,
            title: input.title,
            metadata,
            created_at: now(),
        };
        let session = api.store.create_session(principal(ctx)?, new).await;
        let session = session.map_err(ApiError::from)?;
        Ok(CreateSessionPayload {
            session: Session(Arc::new(session)),
        })
    }

    /// Changes a session's title or metadata.
    async fn update_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateSessionInput,
    ) -> Result<UpdateSessionPayload> {
        let api = api(ctx)?;
        let id = parse_id("input.id", &input.id)?;
        if let MaybeUndefined::Value(title) = &input.title {
            check_title(title, &api.limits)?;
        }
        if let Some(metadata) = &input.metadata {
            check_metadata(&metadata.0, &api.limits)?;
        }
        let change = SessionChange {
            title: match input.title {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(title) => Some(Some(title)),
            },
            metadata: input.metadata.map(|metadata| metadata.0),
        };
        let session = api.store.update_session(principal(ctx)?, id, change).await;
        let session = session.map_err(|error| of_session("input.id", id, error))?;
        Ok(UpdateSessionPayload {
            session: Session(Arc::new(session)),
        })
    }

    /// Deletes a session with its messages and runs. Refused while an answer is being made.
    async fn delete_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session's id.")] id: ID,
    ) -> Result<DeleteSessionPayload> {
        let session = parse_id("id", &id)?;
        let deleted = api(ctx)?
            .store
            .delete_session(principal(ctx)?, session)
            .await;
        deleted.map_err(|error| of_session("id", session, error))?;
        Ok(DeleteSessionPayload {
            deleted_session_id: id,
        })
    }
}

/// The session as the end of its run left it.
fn answered(mut session: domain::Session, outcome: &RunOutcome) -> domain::Session {
    if let Some(message) = &outcome.message {
        session.head = Some(message.id);
        session.branch_length = message.position + 1;
        session.updated_at = message.created_at;
    }
    session
}

fn goes_on(run: RunId) -> ApiError {
    let message = "the answer is not there yet; its run goes on and can be followed with runEvents";
    ApiError::new(Code::Unavailable, message).about_run(run)
}

fn again(run: domain::Run) -> Result<CancelRunPayload> {
    if run.status.is_terminal() {
        return Ok(CancelRunPayload {
            run: Run::loaded(Arc::new(run)),
        });
    }
    let message = "the run is made by another server and cannot be stopped from this one";
    Err(ApiError::new(Code::Unavailable, message)
        .about_run(run.id)
        .into())
}

fn of_session(field: &str, id: SessionId, error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::not_found(field, format!("there is no session {id}")),
        error => ApiError::from(error).at(field),
    }
}
