//! Mutations of the branches of a session.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use crate::graphql::input::branch::{
    EditMessageInput, ForkSessionInput, MESSAGE, RegenerateInput, SwitchBranchInput,
};
use crate::graphql::input::check_title;
use crate::graphql::types::payload::{ForkSessionPayload, SendMessagePayload, SwitchBranchPayload};
use crate::graphql::types::session::Session;
use crate::graphql::{ApiError, api, caller_headers, principal, request_id};
use talkgraph_domain::{MessageId, SessionId};
use talkgraph_store::StoreError;

/// Beginning and choosing branches.
#[derive(Default)]
pub(super) struct Branches;

/// Beginning and choosing branches.
#[Object]
impl Branches {
    /// Answers something once more and returns at once; `runEvents` tells the rest. The new
    /// answer becomes the visible one; those before stay as its `siblings`. Refused while an
    /// answer is being made in the session, unless `onActiveRun` is INTERRUPT.
    async fn regenerate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to answer once more.")] input: RegenerateInput,
    ) -> Result<SendMessagePayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?.clone());
        let mut at = input.check(&api.limits)?;
        at.headers = caller_headers(ctx);
        at.request_id = request_id(ctx);
        let started = api.runner.branches.regenerate(who, at).await;
        Ok(started.map_err(ApiError::at_message)?.into())
    }

    /// Says something else instead of what was said and returns at once; `runEvents` tells
    /// the rest. The new message and its answer become the visible branch; what it was before
    /// stays, with what followed, as one of its `siblings`. Refused while an answer is being
    /// made in the session, unless `onActiveRun` is INTERRUPT.
    async fn edit_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to say instead, and of what.")] input: EditMessageInput,
    ) -> Result<SendMessagePayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?.clone());
        let (mut at, said) = input.check(&api.limits)?;
        at.headers = caller_headers(ctx);
        at.request_id = request_id(ctx);
        let started = api.runner.branches.edit(who, at, said).await;
        Ok(started.map_err(ApiError::at_message)?.into())
    }

    /// Makes another branch of a session the visible one: the one through the message, down
    /// to what was written last below it. `Session.messages` and the next message follow it.
    /// Refused while an answer is being made in the session.
    async fn switch_branch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which branch.")] input: SwitchBranchInput,
    ) -> Result<SwitchBranchPayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let message = input.check()?;
        let session = api.store.switch_branch(who, message).await;
        let session = session.map_err(|error| of_message(message, error))?;
        api.runner.bus().news().announce(who, session.id);
        Ok(SwitchBranchPayload {
            session: Session(Arc::new(session)),
        })
    }

    /// Makes a new session with a copy of the branch up to a message, to go on from there
    /// without changing this one. Runs are not copied: a copied message names the run that made
    /// the original.
    async fn fork_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Up to where.")] input: ForkSessionInput,
    ) -> Result<ForkSessionPayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let message = input.check()?;
        if let Some(title) = &input.title {
            check_title(title, &api.limits)?;
        }
        let (new, title) = (SessionId::new(), input.title.as_deref());
        let session = api.store.fork_session(who, message, new, title).await;
        let session = session.map_err(|error| of_message(message, error))?;
        api.runner.bus().news().announce(who, session.id);
        Ok(ForkSessionPayload {
            session: Session(Arc::new(session)),
        })
    }
}

fn of_message(message: MessageId, error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => {
            ApiError::not_found(MESSAGE, format!("there is no message {message}"))
        }
        error => ApiError::from(error).at(MESSAGE),
    }
}
