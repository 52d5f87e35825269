//! Subscriptions.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription as GraphqlSubscription};
use futures_util::{Stream, StreamExt};

use super::input::{ChatInput, parse_id};
use super::types::event::RunSubscription;
use super::types::fast_path::event::StreamedEvent;
use super::types::interrupt::Interrupt;
use super::types::session::Session;
use super::{Api, ApiError, Progress, ResumeAfter, api, caller_headers, principal, request_id};
use talkgraph_domain::{Principal, RunId, SessionId};
use talkgraph_runtime::{CancelOnDrop, RunEvents, SessionPlace};

/// The subscriptions without effects: clients may request them with GET and resume them. Each
/// subscription that is not listed starts a run.
const FOLLOWING: [&str; 4] = [
    "interruptsChanged",
    "runEvents",
    "sessionChanged",
    "sessionEvents",
];

/// Returns true for a subscription field without effects.
pub(crate) fn is_following(name: &str) -> bool {
    FOLLOWING.contains(&name)
}

/// The subscriptions of the API.
pub struct Subscription;

/// The subscriptions of the API.
#[GraphqlSubscription]
impl Subscription {
    /// Sends a message to an agent and follows the run that answers it. The run continues if the
    /// client disconnects; `runEvents` follows it again.
    async fn chat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, its session and the options of the run.")] input: ChatInput,
    ) -> Result<impl Stream<Item = Result<StreamedEvent>> + use<>> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let mut request = input.check(&api.limits)?;
        request.headers = caller_headers(ctx);
        request.request_id = request_id(ctx);
        let cancel_on_disconnect = request.cancel_on_disconnect;
        let started = api.runner.starter.start(who.clone(), request).await;
        let started = started.map_err(ApiError::from)?;
        let guard =
            cancel_on_disconnect.then(|| CancelOnDrop::new(&api.runner.canceller, who, &started));
        let (run, live) = (started.stored.run.id, started.live);
        let events = api.runner.follow.events(who.clone(), run, live, 0);
        Ok(as_graphql(api, who, guarded(events, guard), progress(ctx)))
    }

    /// Follows a run: its events after `after`, first from the log, then live. Ends after the
    /// terminal event.
    async fn run_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's id.")] run_id: ID,
        #[graphql(desc = "The sequence of the last known event; 0 if absent.")] after: Option<i64>,
    ) -> Result<impl Stream<Item = Result<StreamedEvent>> + use<>> {
        let api = api(ctx)?;
        let run: RunId = parse_id("runId", &run_id)?;
        let who = principal(ctx)?;
        let resume = ctx.data_opt::<ResumeAfter>();
        let resume = resume.map_or(0, |ResumeAfter(sequence)| *sequence);
        let after = sequence(after)?.max(resume);
        // Boxed: otherwise the stream would reserve memory for its start-up state.
        let events = Box::pin(api.runner.follow.run(who, run, after)).await;
        let events = events.map_err(ApiError::from)?;
        Ok(as_graphql(api, who, events, progress(ctx)))
    }

    /// Follows a session: the events of its runs, one run after the other in the order of
    /// execution, each from its first event to its last. Without `runId` it begins with the active
    /// run, or with the next one. Ends when the session is deleted.
    async fn session_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session's id.")] session_id: ID,
        #[graphql(
            desc = "The run to continue with: the last one of which the client has events, or the \
                    run of the last message that it has."
        )]
        run_id: Option<ID>,
        #[graphql(desc = "The sequence of the last known event of that run; 0 if absent.")]
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Result<StreamedEvent>> + use<>> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let session: SessionId = parse_id("sessionId", &session_id)?;
        let after = sequence(after)?;
        let run = run_id.map(|id| parse_id("runId", &id)).transpose()?;
        if run.is_none() && after > 0 {
            let message = "`after` counts the events of one run; give its `runId` too";
            return Err(ApiError::bad_input("after", message).into());
        }
        let place = run.map(|run| SessionPlace { run, after });
        let events = api.runner.follow.session(who, session, place).await;
        let events = events.map_err(ApiError::from)?;
        // A sequence alone does not identify its run, so these events have no `id`.
        Ok(as_graphql(api, who, events, Progress::default()))
    }

    /// Reports each change of the viewer's sessions from now on: its creation, a new message, the
    /// start or end of a run, a new title or branch, its deletion. Changes in quick succession are
    /// merged.
    async fn session_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Session>> + use<>> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let changes = api.runner.follow.session_changes(who);
        let changed = changes.map(|changed| match changed {
            Ok(session) => Ok(Session(Arc::new(session))),
            Err(error) => Err(ApiError::from(error).into()),
        });
        Ok(changed)
    }

    /// Reports each change of the open interrupts of the viewer's runs from now on: an interrupt
    /// was requested or resolved. Each is sent in its current state; changes in quick succession
    /// are merged.
    async fn interrupts_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Interrupt>> + use<>> {
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let changes = api.runner.follow.interrupt_changes(who);
        let changed = changes.map(|changed| match changed {
            Ok(interrupt) => Ok(Arc::new(interrupt).into()),
            Err(error) => Err(ApiError::from(error).into()),
        });
        Ok(changed)
    }
}

fn sequence(after: Option<i64>) -> Result<u64, ApiError> {
    u64::try_from(after.unwrap_or(0))
        .map_err(|_| ApiError::bad_input("after", "`after` must not be negative"))
}

/// Holds the guard that acts when the stream is dropped before its end.
fn guarded(events: RunEvents, guard: Option<CancelOnDrop>) -> RunEvents {
    let Some(guard) = guard else { return events };
    events
        .inspect(move |event| {
            let ended = event.as_ref().is_ok_and(|event| event.body.is_terminal());
            // A stream that the server ends is not a disconnect of the client.
            if ended || event.is_err() {
                guard.disarm();
            }
        })
        .boxed()
}

fn progress(ctx: &Context<'_>) -> Progress {
    ctx.data_opt::<Progress>().cloned().unwrap_or_default()
}

fn as_graphql(
    api: &Api,
    who: &Principal,
    events: RunEvents,
    progress: Progress,
) -> impl Stream<Item = Result<StreamedEvent>> + use<> {
    let (runner, who) = (Arc::clone(&api.runner), who.clone());
    let mut watched: Option<(RunId, RunSubscription)> = None;
    events.map(move |event| match event {
        Ok(event) => {
            progress.reached(event.sequence);
            let run = event.run_id;
            let watched = match &watched {
                Some((watched_run, watched)) if *watched_run == run => watched.clone(),
                _ => {
                    let new = RunSubscription::new(&runner, who.clone(), run);
                    watched = Some((run, new.clone()));
                    new
                }
            };
            Ok(StreamedEvent::new(event, watched))
        }
        Err(error) => Err(ApiError::from(error).into()),
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};

    use super::FOLLOWING;

    /// The subscriptions that start a run.
    const STARTING: [&str; 1] = ["chat"];

    #[test]
    fn each_subscription_is_known_to_follow_or_to_start() {
        let parsed = parse_schema(crate::graphql::sdl()).unwrap();
        let fields = parsed.definitions.iter().find_map(|one| match one {
            TypeSystemDefinition::Type(found) if found.node.name.node == "Subscription" => {
                match &found.node.kind {
                    TypeKind::Object(object) => Some(&object.fields),
                    _ => None,
                }
            }
            _ => None,
        });
        let names = fields.unwrap().iter().map(|field| &*field.node.name.node);
        let mut names: Vec<&str> = names.collect();
        let mut known = [&FOLLOWING[..], &STARTING[..]].concat();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(
            names, known,
            "a new subscription belongs into one of the lists"
        );
    }
}
