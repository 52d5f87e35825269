//! Hand-offs of the conversation to another agent.

use serde::Deserialize;

use talkgraph_domain::{Agent, EventBody, HandOff, ToolResult};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::toolbox::ToolCall;
use crate::spec::team::Team;

/// The longest stored reason, in characters: the new agent reads the whole conversation anyway.
const MAX_REASON_CHARS: usize = 2_000;

/// The arguments of a hand-off.
#[derive(Deserialize)]
struct Arguments {
    reason: Option<String>,
}

/// Takes the hand-offs out of `calls`.
pub(crate) fn take_hand_offs(team: &Team, calls: &mut Vec<ToolCall>) -> Vec<ToolCall> {
    let is_hand_off = |call: &mut ToolCall| team.handoff(&call.name).is_some();
    calls.extract_if(.., is_hand_off).collect()
}

/// Executes the first possible hand-off of these calls and gives all of them results. The event,
/// the results and the changes of run and session are one transaction. Returns the number of calls
/// that the model got wrong.
pub(crate) async fn hand_off(
    ctx: &mut RunContext,
    task: &mut Assignment,
    calls: Vec<ToolCall>,
    team: &Team,
) -> Result<u32, RunAbort> {
    if calls.is_empty() {
        return Ok(0);
    }
    let (from, mut mistakes) = (task.agent.current.id, 0);
    for call in calls {
        let arguments: Result<Arguments, _> = serde_json::from_str(&call.arguments);
        let outcome = match (arguments, team.handoff(&call.name)) {
            (Err(error), _) => {
                mistakes += 1;
                Err(format!("the arguments are not valid: {error}"))
            }
            (Ok(_), None) => Err("that agent is gone".to_owned()),
            (Ok(_), Some(_)) if task.agent.current.id != from => Err(format!(
                "not done: the conversation was handed over to {} already",
                task.agent.name
            )),
            (Ok(_), Some(_)) if is_handed_off_too_often(ctx) => Err(format!(
                "not done: this conversation was handed over {} times for one message, which \
                 is as often as it may be; answer the person yourself",
                ctx.handoffs
            )),
            (Ok(arguments), Some(agent)) => Ok((arguments.reason, agent)),
        };
        let (is_error, text) = match &outcome {
            Ok((_, agent)) => (false, handed_to(agent)),
            Err(why) => (true, why.clone()),
        };
        let result = ToolResult::of_text(call.id, text, is_error);
        let completed = ctx.message.complete_call(result);
        ctx.pending.push(completed);
        if let Ok((reason, agent)) = outcome {
            switch_agent(ctx, task, agent.clone(), &call, reason);
        }
    }
    ctx.flush().await?;
    ctx.log.wait_committed().await?;
    if task.agent.current.id != from {
        let agent = &task.agent.name;
        ctx.live.span().record("agent", agent);
        tracing::info!(agent, "the conversation was handed over");
        let news = ctx.services.bus.news();
        news.announce(&ctx.who, ctx.run.session_id);
    }
    Ok(mistakes)
}

fn is_handed_off_too_often(ctx: &RunContext) -> bool {
    ctx.handoffs >= ctx.services.limits.max_handoffs
}

fn switch_agent(
    ctx: &mut RunContext,
    task: &mut Assignment,
    agent: std::sync::Arc<Agent>,
    call: &ToolCall,
    reason: Option<String>,
) {
    let reason = reason.map(|reason| reason.chars().take(MAX_REASON_CHARS).collect());
    let model = ctx.services.catalog.model_of(&agent.current.spec);
    let handoff = HandOff {
        session_id: ctx.run.session_id,
        tool_call_id: call.id,
        from_agent_id: task.agent.id,
        to_agent_id: agent.id,
        to_agent_version_id: agent.current.id,
        model: model.to_owned(),
        reason,
    };
    // The transaction of the event changes the stored run likewise.
    ctx.run.agent_id = handoff.to_agent_id;
    ctx.run.agent_version_id = handoff.to_agent_version_id;
    ctx.run.model.clone_from(&handoff.model);
    ctx.handoffs += 1;
    ctx.pending.push(EventBody::HandedOff {
        handoff: Box::new(handoff),
    });
    task.agent = agent;
}

/// The result of the call, which the new agent reads as well.
fn handed_to(agent: &Agent) -> String {
    format!(
        "The conversation is with {name} from here on. You are {name}: answer the person.",
        name = agent.name
    )
}
