//! Interrupts for tool calls: approvals, and calls that the client executes.

use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{
    EventBody, Interrupt, InterruptId, InterruptKind, Resolution, Resolved, ResultPart, ToolCallId,
    ToolResult,
};

use crate::run::abort::{RunAbort, internal};
use crate::run::context::RunContext;
use crate::run::event_log::StateChange;
use crate::run::interrupts::InterruptRequest;
use crate::run::toolbox::{ToolCall, Toolbox};

/// The plan for the calls of a step.
pub(crate) struct CallPlan {
    /// The calls to execute now.
    pub(crate) make: Vec<ToolCall>,
    /// The interrupts to request.
    pub(crate) ask: Vec<InterruptRequest>,
}

/// Plans the calls that have no result. Calls that are answered without execution get their
/// results.
pub(crate) async fn plan_calls(ctx: &mut RunContext, toolbox: &Toolbox) -> CallPlan {
    let (mut make, mut ask) = (Vec::new(), Vec::new());
    let most = ctx.services.limits.interrupts;
    for (id, name, arguments) in ctx.message.open_calls() {
        let asked = ctx
            .interrupts
            .iter()
            .find(|asked| asked.tool_call_id == id && asked.kind != InterruptKind::InputRequest);
        let resolved = asked.and_then(|asked| asked.resolution.as_ref());
        let result = resolved.and_then(|resolved| result_of(id, resolved));
        if let Some(result) = result {
            let event = ctx.message.complete_call(result);
            ctx.pending.push(event);
            continue;
        }
        let call = ToolCall {
            id,
            name,
            arguments,
            is_approved: resolved.is_some(),
        };
        match toolbox.interrupt_for(&call).await {
            None => make.push(call),
            Some(_) if ctx.interrupts.len() + ask.len() >= most => {
                let event = ctx.message.complete_call(too_often(id));
                ctx.pending.push(event);
            }
            Some((kind, arguments)) => ask.push(InterruptRequest {
                call: id,
                tool: call.name,
                kind,
                arguments,
            }),
        }
    }
    CallPlan { make, ask }
}

/// Suspends the run until the interrupts are resolved. The caller holds the run's suspension lock
/// until the run is no longer live.
pub(crate) async fn suspend(
    ctx: &mut RunContext,
    questions: Vec<InterruptRequest>,
) -> Result<(), RunAbort> {
    let cancel = ctx.live.cancel_token().clone();
    // Before the events are taken: a run that fails now still has them.
    ctx.log.wait_committed().await?;
    if cancel.is_cancelled() {
        return Err(RunAbort::Cancelled);
    }
    let interrupts = interrupts(ctx, questions);
    let requested = ctx.run.await_input(&interrupts).map_err(|error| {
        tracing::error!(%error, "the run cannot wait");
        RunAbort::Failed(internal())
    })?;
    let mut bodies = std::mem::take(&mut ctx.pending);
    bodies.extend(requested);
    ctx.interrupts.extend_from_slice(&interrupts);
    ctx.log
        .append(bodies, StateChange::Awaits(interrupts.clone()))
        .await?;
    ctx.log.wait_committed().await?;
    tracing::info!(interrupts = interrupts.len(), "the run waits for answers");
    let news = ctx.services.bus.news();
    news.announce(&ctx.who, ctx.run.session_id);
    news.announce_interrupts(&ctx.who, &interrupts);
    // A client that has cancelled the run meanwhile waits for its end.
    match cancel.is_cancelled() {
        true => Err(RunAbort::Cancelled),
        false => Ok(()),
    }
}

fn interrupts(ctx: &RunContext, questions: Vec<InterruptRequest>) -> Vec<Interrupt> {
    let at = now();
    // Ids of the same millisecond sort at random; these have to sort in the order of the calls.
    let mut ids: Vec<_> = questions.iter().map(|_| InterruptId::new()).collect();
    ids.sort_unstable();
    let interrupt = |(question, id): (InterruptRequest, InterruptId)| Interrupt {
        id,
        kind: question.kind,
        run_id: ctx.run.id,
        session_id: ctx.run.session_id,
        tool_call_id: question.call,
        tool: question.tool,
        arguments: question.arguments,
        created_at: at,
        expires_at: at + ctx.services.limits.interrupt_expiry,
        resolution: None,
        question: None,
    };
    questions.into_iter().zip(ids).map(interrupt).collect()
}

/// The open interrupts of the run, closed because the run ends.
pub(crate) fn close_open_interrupts(ctx: &RunContext, at: Timestamp) -> Vec<Interrupt> {
    let open = ctx.interrupts.iter().filter(|asked| asked.is_open());
    let closed = |interrupt: &Interrupt| Interrupt {
        resolution: Some(Resolved {
            resolution: Resolution::Closed,
            at,
        }),
        ..interrupt.clone()
    };
    open.map(closed).collect()
}

/// Applies an event of the log to the interrupts.
pub(crate) fn apply_event(asked: &mut Vec<Interrupt>, event: &EventBody) {
    match event {
        EventBody::InterruptRequested { interrupt } => asked.push(Interrupt::clone(interrupt)),
        EventBody::InterruptResolved { interrupt } => {
            let known = asked.iter_mut().find(|known| known.id == interrupt.id);
            if let Some(known) = known {
                known.clone_from(interrupt);
            }
        }
        _ => {}
    }
}

/// The result of a call that this server does not execute; none if it may be executed.
fn result_of(call: ToolCallId, resolved: &Resolved) -> Option<ToolResult> {
    let text = match &resolved.resolution {
        Resolution::Approved { .. } => return None,
        Resolution::Rejected { reason } if reason.is_empty() => {
            "This call was rejected, and not made.".to_owned()
        }
        Resolution::Rejected { reason } => {
            format!("This call was rejected, and not made. The reason: {reason}")
        }
        Resolution::Result {
            text,
            is_error,
            truncated,
            is_json,
        } => {
            let data = is_json.then_some(ResultPart::Data { json: None });
            return Some(ToolResult {
                truncated: *truncated,
                parts: data.into_iter().collect(),
                ..ToolResult::of_text(call, text.clone(), *is_error)
            });
        }
        Resolution::Expired => {
            "Nobody answered in time: the request has expired, and the call was not made."
                .to_owned()
        }
        // These resolve input requests during the call, not the call itself.
        Resolution::Accepted { .. } | Resolution::Declined | Resolution::Dismissed => return None,
        Resolution::Closed => "This call was not made.".to_owned(),
    };
    Some(ToolResult::of_text(call, text, true))
}

fn too_often(call: ToolCallId) -> ToolResult {
    let event = "Somebody would have to be asked about this call, and this run has asked too \
                often: it was not made.";
    ToolResult::of_text(call, event, true)
}
