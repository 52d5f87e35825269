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

/// The time that `cancelRun` waits for the run to end.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// The mutations of the API.
#[derive(Default, MergedObject)]
pub struct Mutation(Runs, Branches, Sessions, Tools, Interrupts, Agents);

/// The mutations that start and cancel runs.
#[derive(Default)]
struct Runs;

/// The mutations that start and cancel runs.
#[Object]
impl Runs {
    /// Sends a message to an agent and waits for the answer. The run continues if the client
    /// disconnects. A run that needs a person or the client is returned AWAITING_INPUT, with its
    /// `interrupts`.
    async fn chat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, its session and the options of the run.")] input: ChatInput,
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
        // Dropped with this future if the client disconnects.
        let guard =
            cancel_on_disconnect.then(|| CancelOnDrop::new(&api.runner.canceller, who, &started));
        let run = started.stored.run.id;
        let finished = api.runner.starter.outcome(who, &started);
        let Ok(finished) = tokio::time::timeout_at(deadline, finished).await else {
            return Err(still_running(run).into());
        };
        let Some(outcome) = finished.map_err(ApiError::from)? else {
            return Err(still_running(run).into());
        };
        if let Some(guard) = guard {
            guard.disarm();
        }
        let session = session_after(&started.stored, &outcome);
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

    /// Sends a message to an agent and returns at once; follow the run with `runEvents`.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, its session and the options of the run.")] input: ChatInput,
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

    /// Cancels a run; its output so far is kept. A run that has ended stays unchanged, so that the
    /// request may be repeated.
    async fn cancel_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's id.")] id: ID,
        #[graphql(
            desc = "A key chosen by the client; reusing it for another run is a CONFLICT. \
                    See `ChatInput.idempotencyKey`."
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
        // No key is stored for an unknown run.
        if let Some(key) = idempotency_key {
            let kept = api.runner.keys.keep_cancel_key(who, run_id, key).await;
            kept.map_err(|error| ApiError::from(error).with_field("idempotencyKey"))?;
        }
        if run.status.is_terminal() {
            return Ok(CancelRunPayload {
                run: Run::loaded(Arc::new(run)),
            });
        }
        let stopped = api
            .runner
            .canceller
            .cancel(who, run_id, false, CANCEL_TIMEOUT)
            .await;
        let run = match stopped.map_err(ApiError::from)? {
            Stopped::Ended(run) => *run,
            Stopped::Ending | Stopped::Unknown => find().await?,
            Stopped::Elsewhere => {
                let message =
                    "the run is executed by another server and cannot be cancelled from this one";
                let error = ApiError::new(Code::Unavailable, message);
                return Err(error.with_run(run_id).into());
            }
        };
        Ok(CancelRunPayload {
            run: Run::loaded(Arc::new(run)),
        })
    }
}

/// Returns the session as the end of its run left it.
fn session_after(stored: &StartedRun, outcome: &RunOutcome) -> talkgraph_domain::Session {
    let mut session = stored.session.clone();
    // The session may have been handed to another agent.
    session.agent_id = outcome.run.agent_id;
    session.active_run =
        (!outcome.run.status.is_terminal()).then_some(talkgraph_domain::ActiveRun {
            id: outcome.run.id,
            last_sequence: outcome.run.last_sequence,
        });
    if session.head != Some(stored.message.id) {
        // Read after the end, or the branch no longer has the message.
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

fn still_running(run: RunId) -> ApiError {
    let message = "the answer is not ready; the run continues, follow it with runEvents";
    ApiError::new(Code::Unavailable, message).with_run(run)
}
