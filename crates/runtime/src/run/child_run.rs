//! Calls to other agents: a child run in its own session, whose events the log of its parent
//! repeats.

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
use crate::run::toolbox::{CallOutcome, ToolCall};
use crate::spec::team::Team;

/// The most child runs of one run: each has a session and a log of its own, and the log of its
/// parent repeats its events.
const MAX_CHILDREN: usize = 64;

/// The arguments of a call to another agent.
#[derive(Deserialize)]
struct Arguments {
    message: String,
}

/// The events of a step's calls.
pub(crate) enum CallEvent {
    /// The result of a call.
    Completed(CallOutcome),
    /// An input request of a tool's server.
    InputRequested(ToolCallId, talkgraph_tools::Asked),
    /// The progress of a call.
    Progress(ToolCallId, ToolProgress),
    /// An event of a child run.
    ChildEvent(ToolCallId, Arc<RunEvent>),
    /// The end of a child run, with its usage and cost.
    ChildCompleted(CallOutcome, Usage, Option<Cost>),
}

/// Takes the calls to other agents out of `calls`.
pub(crate) fn take_agent_calls(team: &Team, calls: &mut Vec<ToolCall>) -> Vec<ToolCall> {
    let asks_agent = |call: &mut ToolCall| team.asked(&call.name).is_some();
    calls.extract_if(.., asks_agent).collect()
}

/// Starts the child runs of these calls, at most `at_once` at a time, and streams their events.
pub(crate) fn start_child_runs(
    ctx: &RunContext,
    task: &Assignment,
    calls: Vec<ToolCall>,
    team: &Team,
    at_once: usize,
) -> impl Stream<Item = CallEvent> + Send + use<> {
    let mut begun = ctx.child_runs.begun;
    let asked: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let known = ctx.child_runs.open.get(&call.id);
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
    call: &ToolCall,
    agent: &str,
    after: u64,
) -> BoxStream<'static, CallEvent> {
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
            ChildEvent::NotStarted(why) => CallEvent::Completed(result(call, why, true, false)),
            ChildEvent::Event(event) => CallEvent::ChildEvent(call, event),
            ChildEvent::Ended(Some(outcome)) => {
                let (usage, cost) = (outcome.run.usage, outcome.run.cost);
                CallEvent::ChildCompleted(answer(call, &outcome, limit), usage, cost)
            }
            ChildEvent::Ended(None) => {
                let why = "what the agent has answered cannot be read".to_owned();
                CallEvent::ChildCompleted(result(call, why, true, false), Usage::default(), None)
            }
        })
        .boxed()
}

/// Records an event of a call. Returns true if the model got the call wrong.
pub(crate) fn record_call_event(ctx: &mut RunContext, event: CallEvent) -> bool {
    let called = match event {
        CallEvent::ChildEvent(tool_call_id, event) => {
            record_child_event(ctx, tool_call_id, &event);
            return false;
        }
        // Input requests are opened by the caller.
        CallEvent::InputRequested(..) => return false,
        CallEvent::Progress(tool_call_id, progress) => {
            ctx.pending.push(EventBody::ToolCallProgress {
                tool_call_id,
                progress,
            });
            return false;
        }
        CallEvent::ChildCompleted(called, usage, cost) => {
            // Counted together with the result, so that a resumed run counts it once.
            add_child_usage(ctx, usage, cost);
            called
        }
        CallEvent::Completed(called) => called,
    };
    let completed = ctx.message.complete_call(called.result);
    ctx.child_runs.apply(&completed);
    ctx.pending.push(completed);
    called.is_models_fault
}

fn record_child_event(ctx: &mut RunContext, tool_call_id: ToolCallId, event: &RunEvent) {
    let event_body = EventBody::ChildRunEvent {
        tool_call_id,
        event: Box::new(event.clone()),
    };
    ctx.child_runs.apply(&event_body);
    ctx.pending.push(event_body);
}

/// Cancels the open child runs because their parent ends. Their last events and their usage are
/// stored with its end.
pub(crate) async fn cancel_children(ctx: &mut RunContext) {
    // Also cancels child runs that are just starting.
    ctx.live.cancel_token().cancel();
    let open = std::mem::take(&mut ctx.child_runs.open);
    let cancelled = open.into_iter().map(|(call, (child, last))| {
        let (control, who) = (Arc::clone(&ctx.control), ctx.who.clone());
        async move { (call, control.cancel_child(who, child, last).await) }
    });
    for (call, child) in join_all(cancelled).await {
        for event in child.events {
            record_child_event(ctx, call, &event);
        }
        add_child_usage(ctx, child.usage, child.cost);
    }
}

/// Adds the usage of a child run.
fn add_child_usage(ctx: &mut RunContext, usage: Usage, cost: Option<Cost>) {
    ctx.run.usage = ctx.run.usage.plus(usage);
    ctx.run.cost = Cost::sum(ctx.run.cost, cost);
    ctx.pending.push(EventBody::UsageUpdated {
        usage: ctx.run.usage,
        cost: ctx.run.cost,
    });
}

/// The outcome of a child run for the model.
fn answer(call: ToolCallId, outcome: &RunOutcome, limit: usize) -> CallOutcome {
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

fn result(call: ToolCallId, text: String, is_error: bool, truncated: bool) -> CallOutcome {
    CallOutcome {
        result: ToolResult {
            truncated,
            ..ToolResult::of_text(call, text, is_error)
        },
        is_models_fault: false,
    }
}

fn refused(call: &ToolCall, why: String) -> BoxStream<'static, CallEvent> {
    let called = result(call.id, why, true, false);
    stream::iter([CallEvent::Completed(called)]).boxed()
}

fn mistaken(call: &ToolCall, why: String) -> BoxStream<'static, CallEvent> {
    let called = CallOutcome {
        is_models_fault: true,
        ..result(call.id, why, true, false)
    };
    stream::iter([CallEvent::Completed(called)]).boxed()
}
