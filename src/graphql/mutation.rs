//! Mutations: those of runs here, the others in one file for each aggregate.

mod agents;
mod branches;
mod interrupts;
mod sessions;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, MergedObject, Object, Result};
use tokio::time::Instant;

use agents::Agents;
use branches::Branches;
use interrupts::Interrupts;
use sessions::Sessions;
use tools::Tools;

use super::input::{ChatInput, check_key, parse_id};
use super::types::message::Message;
use super::types::payload::{CancelRunPayload, ChatPayload, SendMessagePayload};
use super::types::run::Run;
use super::types::session::Session;
use super::{ApiError, Code, api, caller_headers, principal, request_id};
use talkgraph_bus::RunOutcome;
use talkgraph_domain::RunId;
use talkgraph_runtime::{CancelOnDrop, Stopped};
use talkgraph_store::StartedRun;

/// How long `cancelRun` waits to be able to say how the run ended.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(Runs, Branches, Sessions, Tools, Interrupts, Agents);

/// Starting and stopping runs.
#[derive(Default)]
struct Runs;

/// Starting and stopping runs.
#[Object]
impl Runs {
    /// Says something to an agent and waits for its answer. The run goes on if the client
    /// does not wait. Where the run has to wait for a person or the client it comes back
    /// AWAITING_INPUT, with its `interrupts`.
    async fn chat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is said, and where.")] input: ChatInput,
    ) -> Result<ChatPayload> {
        let api = api(ctx)?;
        let deadline = Instant::now() + api.limits.chat_timeout;
        let mut request = input.check(&api.limits)?;
        request.headers = caller_headers(ctx);
        request.request_id = request_id(ctx);
        let cancel_on_disconnect = request.cancel_on_disconnect;
        let who = principal(ctx)?;
        let started = api.runner.starter.start(who.clone(), request).await;
        let started = started.map_err(ApiError::from)?;
        // Dropped with this future if the client goes away.
        let guard =
            cancel_on_disconnect.then(|| CancelOnDrop::new(&api.runner.canceller, who, &started));
        let run = started.stored.run.id;
        let finished = api.runner.starter.outcome(who, &started);
        let Ok(finished) = tokio::time::timeout_at(deadline, finished).await else {
            return Err(goes_on(run).into());
        };
        let Some(outcome) = finished.map_err(ApiError::from)? else {
            return Err(goes_on(run).into());
        };
        if let Some(guard) = guard {
            guard.disarm();
        }
        let session = answered(&started.stored, &outcome);
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
        let mut request = input.check(&api.limits)?;
        request.headers = caller_headers(ctx);
        request.request_id = request_id(ctx);
        let started = api
            .runner
            .starter
            .start(principal(ctx)?.clone(), request)
            .await;
        Ok(started.map_err(ApiError::from)?.into())
    }

    /// Stops a run; what it has written is kept. A run that has ended stays as it is, so that
    /// this may be sent again.
    async fn cancel_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's id.")] id: ID,
        #[graphql(
            desc = "A name for this call, chosen by the client; used for another run it is a \
                    CONFLICT. See `ChatInput`."
        )]
        idempotency_key: Option<String>,
    ) -> Result<CancelRunPayload> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let run_id: RunId = parse_id("id", &id)?;
        if let Some(key) = &idempotency_key {
            check_key("idempotencyKey", key)?;
        }
        let find = async || {
            let run = api.store.runs_by_id(who, &[run_id]).await?.pop();
            run.ok_or_else(|| ApiError::not_found("id", format!("there is no run {run_id}")))
        };
        let run = find().await?;
        // Of a run that is not there nothing is stored.
        if let Some(key) = idempotency_key {
            let kept = api.runner.keys.keep_cancel_key(who, run_id, key).await;
            kept.map_err(|error| ApiError::from(error).at("idempotencyKey"))?;
        }
        if run.status.is_terminal() {
            return Ok(CancelRunPayload {
                run: Run::loaded(Arc::new(run)),
            });
        }
        let stopped = api
            .runner
            .canceller
            .cancel(who, run_id, false, CANCEL_PATIENCE)
            .await;
        let run = match stopped.map_err(ApiError::from)? {
            Stopped::Ended(run) => *run,
            Stopped::Ending | Stopped::Unknown => find().await?,
            Stopped::Elsewhere => {
                let message =
                    "the run is made by another server and cannot be stopped from this one";
                let error = ApiError::new(Code::Unavailable, message);
                return Err(error.about_run(run_id).into());
            }
        };
        Ok(CancelRunPayload {
            run: Run::loaded(Arc::new(run)),
        })
    }
}

/// The session as the end of its run left it.
fn answered(stored: &StartedRun, outcome: &RunOutcome) -> talkgraph_domain::Session {
    let mut session = stored.session.clone();
    // It may have been handed to another.
    session.agent_id = outcome.run.agent_id;
    session.active_run =
        (!outcome.run.status.is_terminal()).then_some(talkgraph_domain::ActiveRun {
            id: outcome.run.id,
            last_sequence: outcome.run.last_sequence,
        });
    if session.head != Some(stored.message.id) {
        // Read after the end, or of a branch that does not have the message any more.
        return session;
    }
    if outcome.withdrawn {
        session.head = stored.message.parent_id;
        session.branch_length = stored.message.position;
        session.updated_at = outcome.run.finished_at.unwrap_or(session.updated_at);
    } else if let Some(message) = &outcome.message {
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
