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

/// The mutations that create and select branches.
#[derive(Default)]
pub(super) struct Branches;

/// The mutations that create and select branches.
#[Object]
impl Branches {
    /// Answers a message again and returns at once; follow the run with `runEvents`. The new answer
    /// becomes visible; earlier ones stay as its `siblings`. Rejected while the session has an
    /// active run, unless `onActiveRun` is INTERRUPT.
    async fn regenerate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message to answer again.")] input: RegenerateInput,
    ) -> Result<SendMessagePayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?.clone());
        let mut at = input.check(&api.limits)?;
        at.headers = caller_headers(ctx);
        at.request_id = request_id(ctx);
        let started = api.runner.branches.regenerate(who, at).await;
        Ok(started.map_err(ApiError::at_message)?.into())
    }

    /// Replaces a message and returns at once; follow the run with `runEvents`. The new message and
    /// its answer become the visible branch; the old message and all that follows it stay as one of
    /// its `siblings`. Rejected while the session has an active run, unless `onActiveRun` is
    /// INTERRUPT.
    async fn edit_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The earlier message and the new one.")] input: EditMessageInput,
    ) -> Result<SendMessagePayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?.clone());
        let (mut at, said) = input.check(&api.limits)?;
        at.headers = caller_headers(ctx);
        at.request_id = request_id(ctx);
        let started = api.runner.branches.edit(who, at, said).await;
        Ok(started.map_err(ApiError::at_message)?.into())
    }

    /// Makes another branch of a session visible: the branch through the message, down to the
    /// latest message below it. `Session.messages` and the next message follow it. Rejected while
    /// the session has an active run.
    async fn switch_branch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The branch to make visible.")] input: SwitchBranchInput,
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

    /// Creates a session with a copy of the branch up to a message, leaving the original unchanged.
    /// Runs are not copied: a copied message refers to the original's run.
    async fn fork_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The last message to copy.")] input: ForkSessionInput,
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
        error => ApiError::from(error).with_field(MESSAGE),
    }
}
