//! Child runs, and the interrupts of runs that are not suspended.

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};

use talkgraph_domain::{
    ConcurrencyPolicy, Interrupt, Principal, Resolution, RunId, RunOptions, Usage,
};
use talkgraph_store::{RunInput, StoreError};

use crate::control::cancel::{Canceller, Stopped};
use crate::control::resolve::InterruptResolver;
use crate::control::start::{StartRequest, Started, Starter};
use crate::control::start_error::StartError;
use crate::follow::error::FollowError;
use crate::follow::run::Follow;
use crate::run::event_log::LOG_PAGE;
use crate::run::interrupts::input_request::resolved;
use crate::run::run_control::{CancelledChild, ChildEvent, ChildRequest, RunControl};
use crate::run::store_retry::StoreBackoff;

/// The time in which the child runs of a run that ends early write their own ends.
const CHILD_END_TIMEOUT: Duration = Duration::from_secs(3);

/// The services that a run calls back.
pub(crate) struct ChildRuns {
    pub(crate) starter: Arc<Starter>,
    pub(crate) canceller: Arc<Canceller>,
    pub(crate) resolver: Arc<InterruptResolver>,
    pub(crate) follow: Arc<Follow>,
}

#[async_trait]
impl RunControl for ChildRuns {
    fn child_run(
        self: Arc<Self>,
        request: ChildRequest,
        mut after: u64,
    ) -> BoxStream<'static, ChildEvent> {
        stream! {
            let who = request.who.clone();
            let started = match start_child(&self.starter, request).await {
                Ok(started) => started,
                Err(why) => {
                    yield ChildEvent::NotStarted(why);
                    return;
                }
            };
            let (run, mut live) = (started.stored.run.id, started.live.clone());
            let mut pauses = StoreBackoff::new();
            loop {
                let mut events = self.follow.events(who.clone(), run, live.take(), after);
                let mut failed = None;
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => {
                            after = event.sequence;
                            yield ChildEvent::Event(event);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                match failed {
                    None => break,
                    Some(FollowError::Stopping { .. }) => std::future::pending().await,
                    Some(FollowError::TooSlow { .. }) => {}
                    Some(error) => {
                        let health = self.follow.store.health();
                        match &error {
                            FollowError::Store(error) if health.outage().note(error) => {}
                            _ => {
                                tracing::warn!(child = %run, %error, "the child run cannot be followed");
                            }
                        }
                        pauses.pause().await;
                    }
                }
                live = self.follow.bus.get(run);
            }
            let outcome = self.starter.outcome(&who, &started).await;
            yield ChildEvent::Ended(outcome.ok().flatten());
        }
        .boxed()
    }

    async fn cancel_child(
        self: Arc<Self>,
        who: Principal,
        run: RunId,
        after: u64,
    ) -> CancelledChild {
        let stopped = self
            .canceller
            .cancel(&who, run, false, CHILD_END_TIMEOUT)
            .await;
        let (usage, cost) = match stopped {
            Ok(Stopped::Ended(run)) => (run.usage, run.cost),
            stopped => {
                tracing::warn!(child = %run, ?stopped, "a child run was not stopped in time");
                (Usage::default(), None)
            }
        };
        let events = self.follow.store.events(&who, run, after, LOG_PAGE).await;
        CancelledChild {
            events: events.unwrap_or_default(),
            usage,
            cost,
        }
    }

    async fn resolve_interrupt(
        self: Arc<Self>,
        who: Principal,
        interrupt: Interrupt,
        resolution: Resolution,
    ) -> Interrupt {
        let (id, run) = (interrupt.id, interrupt.run_id);
        let answers = vec![(id, resolution.clone())];
        // Whatever comes of it, the interrupt is as the database has it.
        if let Err(error) = self.resolver.take_answers(who.clone(), run, answers).await {
            tracing::debug!(%run, %error, "a question was not closed");
        }
        let found = self.follow.store.interrupts_by_id(&who, &[id]).await;
        let found = found.ok().and_then(|found| found.into_iter().next());
        match found {
            Some(one) if !one.is_open() => one,
            _ => resolved(interrupt, resolution),
        }
    }
}

/// Starts the child run, or finds it. Its parent ends meanwhile if that takes too long.
async fn start_child(starter: &Arc<Starter>, child: ChildRequest) -> Result<Started, String> {
    let (who, call) = (child.who, child.call);
    let request = StartRequest {
        session: None,
        agent: Some(child.agent),
        text: child.message,
        files: Vec::new(),
        options: RunOptions {
            variables: child.variables,
            ..RunOptions::default()
        },
        headers: child.headers,
        request_id: child.request_id,
        input: RunInput::AfterHead,
        parent: Some(child.parent),
        on_active: ConcurrencyPolicy::Reject,
        cancel_on_disconnect: false,
        // A server that resumes the parent finds the child that was started.
        key: Some(format!("child:{call}")),
    };
    let mut pauses = StoreBackoff::new();
    loop {
        match starter.start(who.clone(), request.clone()).await {
            Ok(started) => return Ok(started),
            // The next server resumes the parent here.
            Err(StartError::Draining) => std::future::pending().await,
            Err(StartError::Store(StoreError::Unavailable(_))) => pauses.pause().await,
            Err(error) => {
                tracing::warn!(%call, %error, "an agent was not asked");
                return Err("the agent cannot be asked now".to_owned());
            }
        }
    }
}
