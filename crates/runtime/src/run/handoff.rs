//! Handing the conversation over to another agent.

use serde::Deserialize;

use talkgraph_domain::{Agent, EventBody, HandOff, ToolResult};

use crate::run::abort::RunAbort;
use crate::run::context::{Assignment, RunContext};
use crate::run::toolbox::Call;
use crate::spec::team::Team;

/// The longest reason that is kept, in characters: the new agent reads all of the conversation.
const MAX_REASON_CHARS: usize = 2_000;

/// What a model says with a hand-off.
#[derive(Deserialize)]
struct Arguments {
    reason: Option<String>,
}

/// Takes the hand-offs out of `calls`.
pub(crate) fn take_hand_offs(team: &Team, calls: &mut Vec<Call>) -> Vec<Call> {
    let is_hand_off = |call: &mut Call| team.handoff(&call.name).is_some();
    calls.extract_if(.., is_hand_off).collect()
}

/// Hands the conversation over as the first of these calls wants, and tells the model of
/// all of them. The event, the calls' results and what changes about run and session are
/// one transaction. Returns how many calls the model has got wrong.
pub(crate) async fn hand_off(
    ctx: &mut RunContext,
    task: &mut Assignment,
    calls: Vec<Call>,
    team: &Team,
) -> Result<u32, RunAbort> {
    if calls.is_empty() {
        return Ok(0);
    }
    let (from, mut mistakes) = (task.agent.current.id, 0);
    for call in calls {
        let arguments: Result<Arguments, _> = serde_json::from_str(&call.arguments);
        let told = match (arguments, team.handoff(&call.name)) {
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
        let (is_error, text) = match &told {
            Ok((_, agent)) => (false, handed_to(agent)),
            Err(why) => (true, why.clone()),
        };
        let result = ToolResult::of_text(call.id, text, is_error);
        let completed = ctx.answer.complete_call(result);
        ctx.pending.push(completed);
        if let Ok((reason, agent)) = told {
            go_on_with(ctx, task, agent.clone(), &call, reason);
        }
    }
    ctx.flush().await?;
    ctx.log.settle().await?;
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

fn go_on_with(
    ctx: &mut RunContext,
    task: &mut Assignment,
    agent: std::sync::Arc<Agent>,
    call: &Call,
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
    // As the event's transaction changes the stored run.
    ctx.run.agent_id = handoff.to_agent_id;
    ctx.run.agent_version_id = handoff.to_agent_version_id;
    ctx.run.model.clone_from(&handoff.model);
    ctx.handoffs += 1;
    ctx.pending.push(EventBody::HandedOff {
        handoff: Box::new(handoff),
    });
    task.agent = agent;
}

/// Read by the agent that goes on, too.
fn handed_to(agent: &Agent) -> String {
    format!(
        "The conversation is with {name} from here on. You are {name}: answer the person.",
        name = agent.name
    )
}
