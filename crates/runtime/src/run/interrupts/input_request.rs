//! Input requests of a tool's server during a call: interrupts of a run that continues.
//!
//! The call holds a connection, so it stays in this process while the request is open. Any node may
//! store the resolution; this node reads it and passes it to the call. After a crash the call is in
//! doubt like any other, and its request is closed.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::run::context::RunContext;
use crate::run::event_log::POLL;
use crate::run::event_log::{LogError, StateChange};
use crate::run::interrupts::call_interrupts::apply_event;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use talkgraph_domain::time::now;
use talkgraph_domain::{
    EventBody, Interrupt, InterruptId, InterruptKind, Principal, Resolution, Resolved, ToolCallId,
};
use talkgraph_tools::{Asked, InputAnswer};

/// An open input request of a call.
pub(crate) struct OpenInputRequest {
    interrupt: Interrupt,
    asked: Asked,
}

/// Opens an input request. Returns none if the run has reached its limit of interrupts; the request
/// is declined then.
pub(crate) async fn open_input_request(
    ctx: &mut RunContext,
    call: ToolCallId,
    asked: Asked,
) -> Result<Option<OpenInputRequest>, LogError> {
    if ctx.interrupts.len() >= ctx.services.limits.interrupts {
        // The call may have ended meanwhile.
        let _ = asked.answer.send(InputAnswer::Decline);
        return Ok(None);
    }
    let (tool, arguments) = called(ctx, call);
    let at = now();
    let interrupt = Interrupt {
        id: InterruptId::new(),
        kind: InterruptKind::InputRequest,
        run_id: ctx.run.id,
        session_id: ctx.run.session_id,
        tool_call_id: call,
        tool,
        arguments,
        created_at: at,
        expires_at: at + ctx.services.limits.input_timeout,
        resolution: None,
        question: Some(asked.question.clone()),
    };
    ctx.log.wait_committed().await?;
    let mut bodies = std::mem::take(&mut ctx.pending);
    bodies.push(EventBody::InterruptRequested {
        interrupt: Box::new(interrupt.clone()),
    });
    ctx.interrupts.push(interrupt.clone());
    let opens = StateChange::Awaits(vec![interrupt.clone()]);
    ctx.log.append(bodies, opens).await?;
    ctx.log.wait_committed().await?;
    let news = ctx.services.bus.news();
    news.announce(&ctx.who, ctx.run.session_id);
    news.announce_interrupts(&ctx.who, [&interrupt]);
    Ok(Some(OpenInputRequest { interrupt, asked }))
}

fn called(ctx: &RunContext, call: ToolCallId) -> (String, Value) {
    let open = ctx.message.open_calls().into_iter();
    let found = open.into_iter().find(|(id, ..)| *id == call);
    let (_, tool, arguments) = found.unwrap_or_else(|| (call, String::new(), String::new()));
    let arguments = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
    (tool, arguments)
}

/// Records the resolution of an input request.
pub(crate) fn close_input_request(ctx: &mut RunContext, closed: Interrupt) {
    let told = EventBody::InterruptResolved {
        interrupt: Box::new(closed),
    };
    apply_event(&mut ctx.interrupts, &told);
    ctx.pending.push(told);
}

/// Closes the input requests of calls whose server stopped.
pub(crate) async fn close_lost_input_requests(ctx: &mut RunContext) {
    let is_open = |one: &&Interrupt| one.kind == InterruptKind::InputRequest && one.is_open();
    let open: Vec<_> = ctx.interrupts.iter().filter(is_open).cloned().collect();
    for interrupt in open {
        let closed = Arc::clone(&ctx.control)
            .resolve_interrupt(ctx.who.clone(), interrupt, Resolution::Closed)
            .await;
        close_input_request(ctx, closed);
    }
}

/// Waits for the resolution of an input request, passes it to the call and returns the interrupt.
pub(crate) async fn await_resolution(
    services: Arc<RunServices>,
    control: Arc<dyn RunControl>,
    who: Principal,
    open: OpenInputRequest,
) -> Interrupt {
    let OpenInputRequest {
        interrupt,
        mut asked,
    } = open;
    let mut news = services.bus.news().of_session(interrupt.session_id);
    let answered = loop {
        news.mark_unchanged();
        let found = services.store.interrupts_by_id(&who, &[interrupt.id]).await;
        if let Ok(found) = found {
            match found.into_iter().next() {
                Some(one) if one.is_open() => {}
                Some(one) => break one,
                // The session was deleted.
                None => break resolved(interrupt, Resolution::Closed),
            }
        }
        let left = (interrupt.expires_at - now()).max(TimeDelta::zero());
        let left = left.to_std().unwrap_or_default();
        let over = tokio::select! {
            _ = news.changed() => None,
            () = sleep(POLL.min(left)) => left.is_zero().then_some(Resolution::Expired),
            () = asked.answer.closed() => Some(Resolution::Closed),
        };
        if let Some(over) = over {
            break control.resolve_interrupt(who, interrupt, over).await;
        }
    };
    let answer = match answered.resolution.as_ref().map(|one| &one.resolution) {
        Some(Resolution::Accepted { content }) => InputAnswer::Accept(content.clone()),
        Some(Resolution::Declined | Resolution::Rejected { .. }) => InputAnswer::Decline,
        _ => InputAnswer::Dismiss,
    };
    // The call may have ended meanwhile.
    let _ = asked.answer.send(answer);
    answered
}
/// The interrupt with this resolution, as of now.
pub(crate) fn resolved(interrupt: Interrupt, resolution: Resolution) -> Interrupt {
    let at = now();
    Interrupt {
        resolution: Some(Resolved { resolution, at }),
        ..interrupt
    }
}
