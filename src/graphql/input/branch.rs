//! What clients send about the branches of a session.

use async_graphql::{ID, InputObject};

use crate::graphql::types::enums::ConcurrencyPolicy;
use crate::graphql::{ApiError, ApiLimits};
use talkgraph_domain::{ConcurrencyPolicy as Policy, MessageId, RunOverrides};
use talkgraph_runtime::{Branching, SentFile};
use talkgraph_tools::CallerHeaders;

use super::options::RunOverridesInput;
use super::{KEY, MessageInput, check_key, parse_id};

/// The argument that names the message a branch begins or ends at.
pub(crate) const MESSAGE: &str = "input.messageId";

/// What to answer once more.
#[derive(Debug, InputObject)]
pub(crate) struct RegenerateInput {
    /// The answer to make again; or what a person said, which is then answered again.
    message_id: ID,
    #[graphql(flatten)]
    overrides: RunOverridesInput,
    /// What happens if the session has an active run: REJECT or INTERRUPT.
    #[graphql(default_with = "ConcurrencyPolicy::Reject")]
    on_active_run: ConcurrencyPolicy,
    /// A name for this start, chosen by the client; see `ChatInput`.
    idempotency_key: Option<String>,
}

/// What to say instead.
#[derive(Debug, InputObject)]
pub(crate) struct EditMessageInput {
    /// What the person said before.
    message_id: ID,
    /// What the person says instead.
    message: MessageInput,
    #[graphql(flatten)]
    overrides: RunOverridesInput,
    /// What happens if the session has an active run: REJECT or INTERRUPT.
    #[graphql(default_with = "ConcurrencyPolicy::Reject")]
    on_active_run: ConcurrencyPolicy,
    /// A name for this start, chosen by the client; see `ChatInput`.
    idempotency_key: Option<String>,
}

/// Which branch of a session to show.
#[derive(Debug, InputObject)]
pub(crate) struct SwitchBranchInput {
    /// A message of that branch.
    message_id: ID,
}

/// Where to begin a new session.
#[derive(Debug, InputObject)]
pub(crate) struct ForkSessionInput {
    /// The last message that the new session has in common with this one.
    message_id: ID,
    /// The new session's title; that of the old one when absent.
    pub(crate) title: Option<String>,
}

impl SwitchBranchInput {
    pub(crate) fn check(self) -> Result<MessageId, ApiError> {
        parse_id(MESSAGE, &self.message_id)
    }
}

impl ForkSessionInput {
    pub(crate) fn check(&self) -> Result<MessageId, ApiError> {
        parse_id(MESSAGE, &self.message_id)
    }
}

impl RegenerateInput {
    pub(crate) fn check(self, limits: &ApiLimits) -> Result<Branching, ApiError> {
        let overrides = self.overrides.check(limits)?;
        branching(
            &self.message_id,
            overrides,
            self.on_active_run,
            self.idempotency_key,
        )
    }
}

impl EditMessageInput {
    pub(crate) fn check(
        self,
        limits: &ApiLimits,
    ) -> Result<(Branching, (String, Vec<SentFile>)), ApiError> {
        let overrides = self.overrides.check(limits)?;
        let key = self.idempotency_key;
        let at = branching(&self.message_id, overrides, self.on_active_run, key)?;
        Ok((at, self.message.check(limits)?))
    }
}

fn branching(
    message: &ID,
    overrides: RunOverrides,
    on_active: ConcurrencyPolicy,
    key: Option<String>,
) -> Result<Branching, ApiError> {
    let message = parse_id(MESSAGE, message)?;
    let on_active = on_active.into();
    if !matches!(on_active, Policy::Reject | Policy::Interrupt) {
        let field = "input.onActiveRun";
        let why = "a branch can begin with REJECT or INTERRUPT only";
        return Err(ApiError::bad_input(field, why));
    }
    if let Some(key) = &key {
        check_key(KEY, key)?;
    }
    Ok(Branching {
        message,
        on_active,
        overrides,
        headers: CallerHeaders::default(),
        request_id: None,
        key,
    })
}
