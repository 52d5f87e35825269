//! Answering what runs wait for.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use crate::graphql::input::interrupt::{ResolveInterruptsInput, refused};
use crate::graphql::types::payload::ResolveInterruptsPayload;
use crate::graphql::types::run::Run;
use crate::graphql::{api, principal};

/// Answering what runs wait for.
#[derive(Default)]
pub(super) struct Interrupts;

/// Answering what runs wait for.
#[Object]
impl Interrupts {
    /// Answers interrupts of a run: all that it waits for in one go, or a part of it. All of
    /// the answers are taken, or none. After the last one the run goes on by itself, and its
    /// followers see that. The same answers again give the same result; another answer to what
    /// is answered already is a CONFLICT.
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
