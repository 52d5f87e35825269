//! Subscriptions.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription as GraphqlSubscription};
use futures_util::{Stream, StreamExt};

use super::input::{ChatInput, parse_id};
use super::types::followed::Followed;
use super::{Api, ApiError, Progress, ResumeAfter, api, principal};
use crate::agent::RunEvents;
use crate::domain::RunId;

/// What can be followed.
pub struct Subscription;

/// What can be followed.
#[GraphqlSubscription]
impl Subscription {
    /// Says something to an agent and follows the run that answers. The run goes on if the
    /// client goes away; `runEvents` follows it again.
    async fn chat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is said, and where.")] input: ChatInput,
    ) -> Result<impl Stream<Item = Result<Followed>> + use<>> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let request = input.check(&api.limits)?;
        let started = api.runner.start(who.clone(), request).await;
        let started = started.map_err(ApiError::from)?;
        let run = started.stored.run.id;
        let events = api.runner.follow_started(who.clone(), started);
        Ok(as_graphql(ctx, api, run, events))
    }

    /// Follows a run: its events after `after`, from the log as far as they are there and
    /// then as they happen. Ends after the terminal event.
    async fn run_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's id.")] run_id: ID,
        #[graphql(desc = "The sequence of the last event that is already known; 0 when absent.")]
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Result<Followed>> + use<>> {
        let api = api(ctx)?;
        let run: RunId = parse_id("runId", &run_id)?;
        let after = u64::try_from(after.unwrap_or(0))
            .map_err(|_| ApiError::bad_input("after", "`after` must not be negative"))?;
        let resume = ctx.data_opt::<ResumeAfter>();
        let after = after.max(resume.map_or(0, |ResumeAfter(sequence)| *sequence));
        let events = api.runner.follow(principal(ctx)?, run, after).await;
        Ok(as_graphql(ctx, api, run, events.map_err(ApiError::from)?))
    }
}

fn as_graphql(
    ctx: &Context<'_>,
    api: &Api,
    run: RunId,
    events: RunEvents,
) -> impl Stream<Item = Result<Followed>> + use<> {
    let live = api.runner.bus().get(run);
    let progress = ctx.data_opt::<Progress>().cloned().unwrap_or_default();
    events.map(move |event| match event {
        Ok(event) => {
            progress.reached(event.sequence);
            Ok(Followed::new(event, live.as_ref().map(Arc::clone)))
        }
        Err(error) => Err(ApiError::from(error).into()),
    })
}
