//! Mutations of sessions.

use std::sync::Arc;

use async_graphql::{Context, ID, MaybeUndefined, Object, Result};
use serde_json::json;

use crate::graphql::input::{
    CreateSessionInput, UpdateSessionInput, check_metadata, check_title, parse_id,
};
use crate::graphql::types::payload::{
    CreateSessionPayload, DeleteSessionPayload, UpdateSessionPayload,
};
use crate::graphql::types::session::Session;
use crate::graphql::{ApiError, api, principal};
use talkgraph_domain::SessionId;
use talkgraph_domain::time::now;
use talkgraph_store::{NewSession, SessionChange, StoreError};

/// The mutations that create, change and delete sessions.
#[derive(Default)]
pub(super) struct Sessions;

/// The mutations that create, change and delete sessions.
#[Object]
impl Sessions {
    /// Creates a session.
    async fn create_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session to create.")] input: Option<CreateSessionInput>,
    ) -> Result<CreateSessionPayload> {
        let api = api(ctx)?;
        let input = input.unwrap_or_default();
        let who = principal(ctx)?;
        let agent = match &input.agent {
            None => api.runner.catalog().default_agent(),
            Some(name) => {
                let agent = api.runner.agent_named(who, name).await;
                agent.map_err(ApiError::from)?.ok_or_else(|| {
                    ApiError::not_found("input.agent", format!("there is no agent {name:?}"))
                })?
            }
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
            parent_run: None,
            title: input.title,
            metadata,
            created_at: now(),
        };
        let session = api.store.create_session(who, new).await;
        let session = session.map_err(ApiError::from)?;
        api.runner.bus().news().announce(who, session.id);
        Ok(CreateSessionPayload {
            session: Session(Arc::new(session)),
        })
    }

    /// Changes a session's title or metadata.
    async fn update_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The object to change and its new values.")] input: UpdateSessionInput,
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
        let who = principal(ctx)?;
        let session = api.store.update_session(who, id, change).await;
        let session = session.map_err(|error| of_session("input.id", id, error))?;
        api.runner.bus().news().announce(who, session.id);
        Ok(UpdateSessionPayload {
            session: Session(Arc::new(session)),
        })
    }

    /// Deletes a session with its messages, runs, files and events, and the sessions of its child
    /// runs. It is invisible at once, its followers' streams end, and its content is removed from
    /// the database soon after. Forks keep their copies, and memories stay with their owner.
    /// Rejected while the session has an active run: cancel the run first.
    async fn delete_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session's id.")] id: ID,
    ) -> Result<DeleteSessionPayload> {
        let session = parse_id("id", &id)?;
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let deleted = api.runner.deletion.delete(who, session).await;
        deleted.map_err(|error| of_session("id", session, error))?;
        Ok(DeleteSessionPayload {
            deleted_session_id: id,
        })
    }
}

fn of_session(field: &str, id: SessionId, error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::not_found(field, format!("there is no session {id}")),
        error => ApiError::from(error).with_field(field),
    }
}
