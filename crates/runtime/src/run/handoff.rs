//! Handing the conversation over to another agent.

use serde::Deserialize;

use talkgraph_domain::{Agent, EventBody, HandOff, ToolResult};

use crate::run::executor::{Execution, Stop};
use crate::run::tool_calls::Call;
use crate::spec::team::Team;

/// The longest reason that is kept, in characters: the new agent reads all of the conversation.
const MAX_REASON_CHARS: usize = 2_000;

/// What a model says with a hand-off.
#[derive(Deserialize)]
struct Arguments {
    reason: Option<String>,
}

impl Execution {
    /// Hands the conversation over as the first of these calls wants, and tells the model of
    /// all of them. The event, the calls' results and what changes about run and session are
    /// one transaction. Returns how many calls the model has got wrong.
    pub(crate) async fn hand_off(&mut self, calls: Vec<Call>, team: &Team) -> Result<u32, Stop> {
        if calls.is_empty() {
            return Ok(0);
        }
        let (from, mut mistakes) = (self.agent.current.id, 0);
        for call in calls {
            let arguments: Result<Arguments, _> = serde_json::from_str(&call.arguments);
            let told = match (arguments, team.handoff(&call.name)) {
                (Err(error), _) => {
                    mistakes += 1;
                    Err(format!("the arguments are not valid: {error}"))
                }
                (Ok(_), None) => Err("that agent is gone".to_owned()),
                (Ok(_), Some(_)) if self.agent.current.id != from => Err(format!(
                    "not done: the conversation was handed over to {} already",
                    self.agent.name
                )),
                (Ok(_), Some(_)) if self.is_handed_off_too_often() => Err(format!(
                    "not done: this conversation was handed over {} times for one message, which \
                     is as often as it may be; answer the person yourself",
                    self.ending.handoffs
                )),
                (Ok(arguments), Some(agent)) => Ok((arguments.reason, agent)),
            };
            let (is_error, text) = match &told {
                Ok((_, agent)) => (false, handed_to(agent)),
                Err(why) => (true, why.clone()),
            };
            let result = ToolResult::of_text(call.id, text, is_error);
            let completed = self.ending.answer.complete_call(result);
            self.ending.pending.push(completed);
            if let Ok((reason, agent)) = told {
                self.go_on_with(agent.clone(), &call, reason);
            }
        }
        self.flush().await?;
        self.ending.log.settle().await?;
        if self.agent.current.id != from {
            let (ending, agent) = (&self.ending, &self.agent.name);
            ending.live.span().record("agent", agent);
            tracing::info!(agent, "the conversation was handed over");
            let news = ending.runner.bus.news();
            news.announce(&ending.who, ending.run.session_id);
        }
        Ok(mistakes)
    }

    fn is_handed_off_too_often(&self) -> bool {
        self.ending.handoffs >= self.ending.runner.limits.max_handoffs
    }

    fn go_on_with(&mut self, agent: std::sync::Arc<Agent>, call: &Call, reason: Option<String>) {
        let ending = &mut self.ending;
        let reason = reason.map(|reason| reason.chars().take(MAX_REASON_CHARS).collect());
        let model = ending.runner.catalog.model_of(&agent.current.spec);
        let handoff = HandOff {
            session_id: ending.run.session_id,
            tool_call_id: call.id,
            from_agent_id: self.agent.id,
            to_agent_id: agent.id,
            to_agent_version_id: agent.current.id,
            model: model.to_owned(),
            reason,
        };
        // As the event's transaction changes the stored run.
        ending.run.agent_id = handoff.to_agent_id;
        ending.run.agent_version_id = handoff.to_agent_version_id;
        ending.run.model.clone_from(&handoff.model);
        ending.handoffs += 1;
        ending.pending.push(EventBody::HandedOff {
            handoff: Box::new(handoff),
        });
        self.agent = agent;
    }
}

/// Read by the agent that goes on, too.
fn handed_to(agent: &Agent) -> String {
    format!(
        "The conversation is with {name} from here on. You are {name}: answer the person.",
        name = agent.name
    )
}
