//! Asking another agent: a run of its own, in a session of its own, whose events are in the log
//! of the run that asks as well.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Deserialize;

use talkgraph_bus::RunOutcome;
use talkgraph_domain::message::text_of;
use talkgraph_domain::{
    Cost, EventBody, ParentRun, RunEvent, RunStatus, ToolCallId, ToolProgress, ToolResult, Usage,
};
use talkgraph_tools::ToolOutput;

use crate::run::context::{Assignment, RunContext};
use crate::run::run_control::{ChildEvent, ChildRequest};
use crate::run::toolbox::{Call, Called};
use crate::spec::team::Team;

/// The most runs that one asks for: each is a session, a run and a log of its own, and its
/// events are in the log of the one that asks, too.
const MAX_CHILDREN: usize = 64;

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

/// Takes the calls to other agents out of `calls`.
pub(crate) fn take_agent_calls(team: &Team, calls: &mut Vec<Call>) -> Vec<Call> {
    let asks_agent = |call: &mut Call| team.asked(&call.name).is_some();
    calls.extract_if(.., asks_agent).collect()
}

/// Asks other agents, so many at once.
pub(crate) fn ask_all(
    ctx: &RunContext,
    task: &Assignment,
    calls: Vec<Call>,
    team: &Team,
    at_once: usize,
) -> impl Stream<Item = Told> + Send + use<> {
    let mut begun = ctx.children.begun;
    let asked: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let known = ctx.children.open.get(&call.id);
            begun += usize::from(known.is_none());
            let after = known.map_or(0, |(_, last)| *last);
            match team.asked(&call.name) {
                Some(_) if begun > MAX_CHILDREN => refused(
                    &call,
                    format!("not done: this is asked for the {begun}th time"),
                ),
                Some(agent) => ask(ctx, task, &call, &agent.name, after),
                None => refused(&call, "that agent is gone".to_owned()),
            }
        })
        .collect();
    stream::iter(asked).flatten_unordered(at_once)
}

fn ask(
    ctx: &RunContext,
    task: &Assignment,
    call: &Call,
    agent: &str,
    after: u64,
) -> BoxStream<'static, Told> {
    let arguments: Result<Arguments, _> = serde_json::from_str(&call.arguments);
    let message = match arguments.map(|arguments| arguments.message) {
        Ok(message) if !message.trim().is_empty() => message,
        Ok(_) => return mistaken(call, "the message is empty".to_owned()),
        Err(error) => return mistaken(call, format!("the arguments are not valid: {error}")),
    };
    let depth = ctx.run.parent.map_or(0, |parent| parent.depth);
    let request = ChildRequest {
        who: ctx.who.clone(),
        call: call.id,
        agent: agent.to_owned(),
        message,
        variables: ctx.run.options.variables.clone(),
        headers: task.headers.clone(),
        request_id: ctx.run.options.request_id.clone(),
        parent: ParentRun {
            run: ctx.run.id,
            depth: depth + 1,
        },
    };
    let (call, limit) = (call.id, ctx.services.limits.client_output_bytes);
    let events = Arc::clone(&ctx.control).child_run(request, after);
    events
        .map(move |event| match event {
            ChildEvent::NotStarted(why) => Told::Called(result(call, why, true, false)),
            ChildEvent::Event(event) => Told::Heard(call, event),
            ChildEvent::Ended(Some(outcome)) => {
                let (usage, cost) = (outcome.run.usage, outcome.run.cost);
                Told::Answered(answer(call, &outcome, limit), usage, cost)
            }
            ChildEvent::Ended(None) => {
                let why = "what the agent has answered cannot be read".to_owned();
                Told::Answered(result(call, why, true, false), Usage::default(), None)
            }
        })
        .boxed()
}

/// Takes in what has come of a call. Returns whether the model has got it wrong.
pub(crate) fn hear(ctx: &mut RunContext, told: Told) -> bool {
    let called = match told {
        Told::Heard(tool_call_id, event) => {
            heard(ctx, tool_call_id, &event);
            return false;
        }
        // It is told of where it can be waited for.
        Told::Asks(..) => return false,
        Told::Progress(tool_call_id, progress) => {
            ctx.pending.push(EventBody::ToolCallProgress {
                tool_call_id,
                progress,
            });
            return false;
        }
        Told::Answered(called, usage, cost) => {
            // With the result: whoever takes this run up counts it once.
            count(ctx, usage, cost);
            called
        }
        Told::Called(called) => called,
    };
    let completed = ctx.answer.complete_call(called.result);
    ctx.children.know(&completed);
    ctx.pending.push(completed);
    called.is_models_fault
}

fn heard(ctx: &mut RunContext, tool_call_id: ToolCallId, event: &RunEvent) {
    let heard = EventBody::ChildRunEvent {
        tool_call_id,
        event: Box::new(event.clone()),
    };
    ctx.children.know(&heard);
    ctx.pending.push(heard);
}

/// Stops what this run has asked for, because it ends itself. The children's last events
/// and what they have used go into its log with the end.
pub(crate) async fn stop_children(ctx: &mut RunContext) {
    // Also those that are just being started.
    ctx.live.cancel_token().cancel();
    let open = std::mem::take(&mut ctx.children.open);
    let cancelled = open.into_iter().map(|(call, (child, last))| {
        let (control, who) = (Arc::clone(&ctx.control), ctx.who.clone());
        async move { (call, control.cancel_child(who, child, last).await) }
    });
    for (call, child) in join_all(cancelled).await {
        for event in child.events {
            heard(ctx, call, &event);
        }
        count(ctx, child.usage, child.cost);
    }
}

/// Counts what a child has used.
fn count(ctx: &mut RunContext, usage: Usage, cost: Option<Cost>) {
    ctx.run.usage = ctx.run.usage.plus(usage);
    ctx.run.cost = Cost::sum(ctx.run.cost, cost);
    ctx.pending.push(EventBody::UsageUpdated {
        usage: ctx.run.usage,
        cost: ctx.run.cost,
    });
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
