//! Questions that the server of a tool asks during a call: interrupts of a run that goes on.
//!
//! The call holds a connection, so it stays in this process while the question is open. The
//! answer is written by whichever node takes it; this node reads it and hands it to the call.
//! After a crash the call is in doubt like any other, and its question is closed.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::run::context::RunContext;
use crate::run::event_log::POLL;
use crate::run::event_log::{Change, LogError};
use crate::run::interrupts::call_interrupts::know;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use talkgraph_domain::time::now;
use talkgraph_domain::{
    EventBody, Interrupt, InterruptId, InterruptKind, Principal, Resolution, Resolved, ToolCallId,
};
use talkgraph_tools::{Asked, InputAnswer};

/// A question that is asked about a call.
pub(crate) struct Open {
    interrupt: Interrupt,
    asked: Asked,
}

/// Tells of a question. None if the run has asked too often: it is declined then.
pub(crate) async fn open_question(
    ctx: &mut RunContext,
    call: ToolCallId,
    asked: Asked,
) -> Result<Option<Open>, LogError> {
    if ctx.asked.len() >= ctx.services.limits.interrupts {
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
    ctx.log.settle().await?;
    let mut bodies = std::mem::take(&mut ctx.pending);
    bodies.push(EventBody::InterruptRequested {
        interrupt: Box::new(interrupt.clone()),
    });
    ctx.asked.push(interrupt.clone());
    let opens = Change::Awaits(vec![interrupt.clone()]);
    ctx.log.append(bodies, opens).await?;
    ctx.log.settle().await?;
    let news = ctx.services.bus.news();
    news.announce(&ctx.who, ctx.run.session_id);
    news.announce_interrupts(&ctx.who, [&interrupt]);
    Ok(Some(Open { interrupt, asked }))
}

fn called(ctx: &RunContext, call: ToolCallId) -> (String, Value) {
    let open = ctx.answer.open_calls().into_iter();
    let found = open.into_iter().find(|(id, ..)| *id == call);
    let (_, tool, arguments) = found.unwrap_or_else(|| (call, String::new(), String::new()));
    let arguments = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
    (tool, arguments)
}

/// Takes in that a question is closed.
pub(crate) fn close_question(ctx: &mut RunContext, closed: Interrupt) {
    let told = EventBody::InterruptResolved {
        interrupt: Box::new(closed),
    };
    know(&mut ctx.asked, &told);
    ctx.pending.push(told);
}

/// Closes the questions of calls whose server has died.
pub(crate) async fn close_lost_questions(ctx: &mut RunContext) {
    let is_open = |one: &&Interrupt| one.kind == InterruptKind::InputRequest && one.is_open();
    let open: Vec<_> = ctx.asked.iter().filter(is_open).cloned().collect();
    for interrupt in open {
        let closed = Arc::clone(&ctx.control)
            .resolve_interrupt(ctx.who.clone(), interrupt, Resolution::Closed)
            .await;
        close_question(ctx, closed);
    }
}

/// Waits for the answer to a question, hands it to its call and gives the interrupt with it.
pub(crate) async fn answer_of(
    services: Arc<RunServices>,
    control: Arc<dyn RunControl>,
    who: Principal,
    open: Open,
) -> Interrupt {
    let Open {
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
                // Its session was deleted.
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
