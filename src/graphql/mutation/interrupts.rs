//! Mutations of interrupts.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use crate::graphql::input::interrupt::{ResolveInterruptsInput, refused};
use crate::graphql::types::payload::ResolveInterruptsPayload;
use crate::graphql::types::run::Run;
use crate::graphql::{api, principal};

/// The mutations that resolve interrupts.
#[derive(Default)]
pub(super) struct Interrupts;

/// The mutations that resolve interrupts.
#[Object]
impl Interrupts {
    /// Answers interrupts of a run, all open ones or some of them. Either all answers are accepted
    /// or none. The run continues after the last one, visible to its followers. Repeating the same
    /// answers returns the same result; another answer to a resolved interrupt is a CONFLICT.
    async fn resolve_interrupts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answers.")] input: ResolveInterruptsInput,
    ) -> Result<ResolveInterruptsPayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let key = input.idempotency_key.clone();
        let given = input.check()?;
        let answers = given.answers.clone();
        let taken = api
            .runner
            .resolver
            .resolve(who.clone(), given.run, answers, key);
        let answered = taken.await.map_err(|error| refused(error, &given))?;
        let interrupts = answered.interrupts.into_iter();
        Ok(ResolveInterruptsPayload {
            run: Run::loaded(Arc::new(answered.run)),
            interrupts: interrupts.map(|one| Arc::new(one).into()).collect(),
        })
    }
}
