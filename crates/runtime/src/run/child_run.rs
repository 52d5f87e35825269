//! Asking another agent: a run of its own, in a session of its own, whose events are in the log
//! of the run that asks as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Deserialize;

use talkgraph_bus::RunOutcome;
use talkgraph_domain::message::text_of;
use talkgraph_domain::{
    ConcurrencyPolicy, Cost, EventBody, ParentRun, Principal, RunEvent, RunId, RunOptions,
    RunStatus, ToolCallId, ToolProgress, ToolResult, Usage,
};
use talkgraph_store::{RunInput, StoreError};
use talkgraph_tools::ToolOutput;

use crate::control::cancel::Stopped;
use crate::control::start::{StartRequest, Started};
use crate::control::start_error::StartError;
use crate::follow::error::FollowError;
use crate::run::context::Ending;
use crate::run::executor::Execution;
use crate::run::store_retry::Pauses;
use crate::run::tool_calls::{Call, Called};
use crate::runner::Runner;
use crate::spec::team::Team;

/// The most runs that one asks for: each is a session, a run and a log of its own, and its
/// events are in the log of the one that asks, too.
const MAX_CHILDREN: usize = 64;

/// How long the children of a run that ends early get to write their own ends.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a model says to another agent.
#[derive(Deserialize)]
struct Arguments {
    message: String,
}

/// What comes of a step's calls, as it comes.
pub(crate) enum Told {
    /// A call has come to its result.
    Called(Called),
    /// The server of a tool asks something.
    Asks(ToolCallId, talkgraph_tools::Asked),
    /// A tool reports how far it is with a call.
    Progress(ToolCallId, ToolProgress),
    /// Something has happened in the run that answers a call.
    Heard(ToolCallId, Arc<RunEvent>),
    /// The run that answers a call has ended, and has used this.
    Answered(Called, Usage, Option<Cost>),
}

/// The runs that a run has asked for, as far as its log tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Children {
    /// By the calls that have no result yet: the child, and the last of its events that was told.
    open: BTreeMap<ToolCallId, (RunId, u64)>,
    /// How many there were.
    begun: usize,
}

impl Children {
    /// Takes in an event of the log of the run that asks.
    pub(crate) fn know(&mut self, event: &EventBody) {
        match event {
            EventBody::ChildRunEvent {
                tool_call_id,
                event,
            } => {
                let known = (event.run_id, event.sequence);
                let is_new = self.open.insert(*tool_call_id, known).is_none();
                self.begun += usize::from(is_new);
            }
            EventBody::ToolCallCompleted { result } => {
                self.open.remove(&result.tool_call_id);
            }
            _ => {}
        }
    }
}

impl Execution {
    /// Asks other agents, so many at once.
    pub(crate) fn ask_all(
        &self,
        calls: Vec<Call>,
        team: &Team,
        at_once: usize,
    ) -> impl Stream<Item = Told> + Send + use<> {
        let mut begun = self.ending.children.begun;
        let asked: Vec<_> = calls
            .into_iter()
            .map(|call| {
                let known = self.ending.children.open.get(&call.id);
                begun += usize::from(known.is_none());
                let after = known.map_or(0, |(_, last)| *last);
                match team.asked(&call.name) {
                    Some(_) if begun > MAX_CHILDREN => refused(
                        &call,
                        format!("not done: this is asked for the {begun}th time"),
                    ),
                    Some(agent) => self.ask(&call, &agent.name, after),
                    None => refused(&call, "that agent is gone".to_owned()),
                }
            })
            .collect();
        stream::iter(asked).flatten_unordered(at_once)
    }

    fn ask(&self, call: &Call, agent: &str, after: u64) -> BoxStream<'static, Told> {
        let arguments: Result<Arguments, _> = serde_json::from_str(&call.arguments);
        let message = match arguments.map(|arguments| arguments.message) {
            Ok(message) if !message.trim().is_empty() => message,
            Ok(_) => return mistaken(call, "the message is empty".to_owned()),
            Err(error) => return mistaken(call, format!("the arguments are not valid: {error}")),
        };
        let ending = &self.ending;
        let above = ending.run.parent.map_or(0, |parent| parent.depth);
        let asked = Asked {
            runner: Arc::clone(&ending.runner),
            who: ending.who.clone(),
            call: call.id,
            request: StartRequest {
                session: None,
                agent: Some(agent.to_owned()),
                text: message,
                files: Vec::new(),
                options: RunOptions {
                    variables: ending.run.options.variables.clone(),
                    ..RunOptions::default()
                },
                headers: self.headers.clone(),
                request_id: ending.run.options.request_id.clone(),
                input: RunInput::AfterHead,
                parent: Some(ParentRun {
                    run: ending.run.id,
                    depth: above + 1,
                }),
                on_active: ConcurrencyPolicy::Reject,
                cancel_on_disconnect: false,
                // Whoever takes this run up finds the child that was begun.
                key: Some(format!("child:{}", call.id)),
            },
        };
        asked.told(after)
    }
}

/// A question to another agent.
struct Asked {
    runner: Arc<Runner>,
    who: Principal,
    call: ToolCallId,
    request: StartRequest,
}

impl Asked {
    /// The events of the run that answers, those after `after`, and then what it has come to.
    fn told(self, mut after: u64) -> BoxStream<'static, Told> {
        let call = self.call;
        stream! {
            let started = match self.start().await {
                Ok(started) => started,
                Err(why) => {
                    yield Told::Called(result(call, why, true, false));
                    return;
                }
            };
            let (run, mut live) = (started.stored.run.id, started.live.clone());
            let mut pauses = Pauses::new();
            loop {
                let mut events = self.runner.events(self.who.clone(), run, live.take(), after);
                let mut failed = None;
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => {
                            after = event.sequence;
                            yield Told::Heard(call, event);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                match failed {
                    None => break,
                    Some(FollowError::Stopping { .. }) => std::future::pending().await,
                    Some(FollowError::TooSlow { .. }) => {}
                    Some(error) => {
                        let health = self.runner.store.health();
                        match &error {
                            FollowError::Store(error) if health.outage().note(error) => {}
                            _ => {
                                tracing::warn!(child = %run, %error, "the child run cannot be followed");
                            }
                        }
                        pauses.pause().await;
                    }
                }
                live = self.runner.bus().get(run);
            }
            let limit = self.runner.limits.client_output_bytes;
            let (called, usage, cost) = match self.runner.outcome(&self.who, &started).await {
                Ok(Some(outcome)) => (answer(call, &outcome, limit), outcome.run.usage, outcome.run.cost),
                Ok(None) | Err(_) => {
                    let why = "what the agent has answered cannot be read".to_owned();
                    (result(call, why, true, false), Usage::default(), None)
                }
            };
            yield Told::Answered(called, usage, cost);
        }
        .boxed()
    }

    /// Starts the run that answers, or finds it. The run that asks is ended meanwhile if that
    /// takes too long.
    async fn start(&self) -> Result<Started, String> {
        let mut pauses = Pauses::new();
        loop {
            let started = self.runner.start(self.who.clone(), self.request.clone());
            match started.await {
                Ok(started) => return Ok(started),
                // The next server goes on from here.
                Err(StartError::Draining) => std::future::pending().await,
                Err(StartError::Store(StoreError::Unavailable(_))) => pauses.pause().await,
                Err(error) => {
                    tracing::warn!(call = %self.call, %error, "an agent was not asked");
                    return Err("the agent cannot be asked now".to_owned());
                }
            }
        }
    }
}

impl Ending {
    /// Takes in what has come of a call. Returns whether the model has got it wrong.
    pub(crate) fn hear(&mut self, told: Told) -> bool {
        let called = match told {
            Told::Heard(tool_call_id, event) => {
                self.heard(tool_call_id, &event);
                return false;
            }
            // It is told of where it can be waited for.
            Told::Asks(..) => return false,
            Told::Progress(tool_call_id, progress) => {
                self.pending.push(EventBody::ToolCallProgress {
                    tool_call_id,
                    progress,
                });
                return false;
            }
            Told::Answered(called, usage, cost) => {
                // With the result: whoever takes this run up counts it once.
                self.count(usage, cost);
                called
            }
            Told::Called(called) => called,
        };
        let completed = self.answer.complete_call(called.result);
        self.children.know(&completed);
        self.pending.push(completed);
        called.is_models_fault
    }

    fn heard(&mut self, tool_call_id: ToolCallId, event: &RunEvent) {
        let heard = EventBody::ChildRunEvent {
            tool_call_id,
            event: Box::new(event.clone()),
        };
        self.children.know(&heard);
        self.pending.push(heard);
    }

    /// Stops what this run has asked for, because it ends itself. The children's last events
    /// and what they have used go into its log with the end.
    pub(crate) async fn stop_children(&mut self) {
        // Also those that are just being started.
        self.live.cancel_token().cancel();
        let open = std::mem::take(&mut self.children.open);
        let stopped = open.into_iter().map(|(call, (child, last))| {
            let (runner, who) = (Arc::clone(&self.runner), self.who.clone());
            async move {
                let stopped = runner.stop(&who, child, false, PATIENCE).await;
                let (usage, cost) = match stopped {
                    Ok(Stopped::Ended(run)) => (run.usage, run.cost),
                    stopped => {
                        tracing::warn!(%child, ?stopped, "a child run was not stopped in time");
                        (Usage::default(), None)
                    }
                };
                let rest = runner
                    .store
                    .events(&who, child, last, crate::run::event_log::LOG_PAGE)
                    .await;
                (call, rest.unwrap_or_default(), usage, cost)
            }
        });
        for (call, rest, usage, cost) in join_all(stopped).await {
            for event in rest {
                self.heard(call, &event);
            }
            self.count(usage, cost);
        }
    }

    /// Counts what a child has used.
    fn count(&mut self, usage: Usage, cost: Option<Cost>) {
        self.run.usage = self.run.usage.plus(usage);
        self.run.cost = Cost::sum(self.run.cost, cost);
        self.pending.push(EventBody::UsageUpdated {
            usage: self.run.usage,
            cost: self.run.cost,
        });
    }
}

/// What the model is told of a run that answers it.
fn answer(call: ToolCallId, outcome: &RunOutcome, limit: usize) -> Called {
    let run = &outcome.run;
    let text = outcome
        .message
        .as_ref()
        .map(|message| text_of(&message.parts));
    let text = text.unwrap_or_default();
    let (text, is_error) = match (run.status, &run.error) {
        (RunStatus::Completed, _) => (text, false),
        (_, Some(error)) => (format!("the agent has failed: {}", error.message), true),
        _ => ("the agent was stopped".to_owned(), true),
    };
    let output = ToolOutput::new(text).capped(limit);
    result(call, output.text, is_error, output.truncated)
}

fn result(call: ToolCallId, text: String, is_error: bool, truncated: bool) -> Called {
    Called {
        result: ToolResult {
            truncated,
            ..ToolResult::of_text(call, text, is_error)
        },
        is_models_fault: false,
    }
}

fn refused(call: &Call, why: String) -> BoxStream<'static, Told> {
    let called = result(call.id, why, true, false);
    stream::iter([Told::Called(called)]).boxed()
}

fn mistaken(call: &Call, why: String) -> BoxStream<'static, Told> {
    let called = Called {
        is_models_fault: true,
        ..result(call.id, why, true, false)
    };
    stream::iter([Told::Called(called)]).boxed()
}
