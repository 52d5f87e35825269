//! Input types of the branches of a session.

use async_graphql::{ID, InputObject};

use crate::graphql::types::enums::ConcurrencyPolicy;
use crate::graphql::{ApiError, ApiLimits};
use talkgraph_domain::{ConcurrencyPolicy as Policy, MessageId, RunOverrides};
use talkgraph_runtime::{Branching, SentFile};
use talkgraph_tools::CallerHeaders;

use super::options::RunOverridesInput;
use super::{KEY, MessageInput, check_key, parse_id};

/// The path of the message that a branch begins or ends at.
pub(crate) const MESSAGE: &str = "input.messageId";

/// A message to answer again.
#[derive(Debug, InputObject)]
pub(crate) struct RegenerateInput {
    /// The answer to replace, or the person's message to answer again.
    message_id: ID,
    #[graphql(flatten)]
    overrides: RunOverridesInput,
    /// The handling of an already active run of the session: REJECT or INTERRUPT.
    #[graphql(default_with = "ConcurrencyPolicy::Reject")]
    on_active_run: ConcurrencyPolicy,
    /// A key chosen by the client; see `ChatInput.idempotencyKey`.
    idempotency_key: Option<String>,
}

/// A message that replaces an earlier one.
#[derive(Debug, InputObject)]
pub(crate) struct EditMessageInput {
    /// The person's earlier message.
    message_id: ID,
    /// The new message.
    message: MessageInput,
    #[graphql(flatten)]
    overrides: RunOverridesInput,
    /// The handling of an already active run of the session: REJECT or INTERRUPT.
    #[graphql(default_with = "ConcurrencyPolicy::Reject")]
    on_active_run: ConcurrencyPolicy,
    /// A key chosen by the client; see `ChatInput.idempotencyKey`.
    idempotency_key: Option<String>,
}

/// The selection of a session's visible branch.
#[derive(Debug, InputObject)]
pub(crate) struct SwitchBranchInput {
    /// A message of the branch.
    message_id: ID,
}

/// The origin of a new session.
#[derive(Debug, InputObject)]
pub(crate) struct ForkSessionInput {
    /// The last message to copy to the new session.
    message_id: ID,
    /// The title of the new session; that of the original if absent.
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
        let why = "must be REJECT or INTERRUPT; a branch cannot be queued or rolled back";
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
