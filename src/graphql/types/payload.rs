//! Mutation payloads. They return the changed objects, so that a client's cache updates itself.

use std::sync::Arc;

use async_graphql::{ID, SimpleObject};

use super::agent::Agent;
use super::interrupt::Interrupt;
use super::message::Message;
use super::run::Run;
use super::session::Session;
use super::tool::{Output, Tool, ToolFailure};
use talkgraph_runtime::Started;

/// The result of a `chat` mutation: an answer, an error or open interrupts.
#[derive(SimpleObject)]
pub(crate) struct ChatPayload {
    /// The run, either ended or AWAITING_INPUT; in that case answer its `interrupts` and follow
    /// `runEvents`. A failed run is data: see its `error`.
    pub(crate) run: Run,
    /// The session, newly created if the input names none.
    pub(crate) session: Session,
    /// The person's message.
    pub(crate) user_message: Message,
    /// The answer; null if the run waits, or failed before writing one.
    pub(crate) message: Option<Message>,
}

/// A started run.
#[derive(SimpleObject)]
pub(crate) struct SendMessagePayload {
    /// The run; follow it with `runEvents`.
    pub(crate) run: Run,
    /// The session, newly created if the input names none.
    pub(crate) session: Session,
    /// The person's message.
    pub(crate) user_message: Message,
}

impl From<Started> for SendMessagePayload {
    fn from(started: Started) -> Self {
        let stored = started.stored;
        Self {
            run: Run::loaded(Arc::new(stored.run)),
            session: Session(Arc::new(stored.session)),
            user_message: Message::stored(Arc::new(stored.message)),
        }
    }
}

/// A session with another visible branch.
#[derive(SimpleObject)]
pub(crate) struct SwitchBranchPayload {
    /// The session, with its new `head`.
    pub(crate) session: Session,
}

/// A session that begins with a copy of another one's branch.
#[derive(SimpleObject)]
pub(crate) struct ForkSessionPayload {
    /// The new session.
    pub(crate) session: Session,
}

/// Resolved interrupts.
#[derive(SimpleObject)]
pub(crate) struct ResolveInterruptsPayload {
    /// The run: RUNNING after the last answer, AWAITING_INPUT while other interrupts are open.
    pub(crate) run: Run,
    /// The interrupts with their resolutions, in the order of the answers.
    pub(crate) interrupts: Vec<Interrupt>,
}

/// A run that was requested to be cancelled.
#[derive(SimpleObject)]
pub(crate) struct CancelRunPayload {
    /// The run: CANCELLED, unless it ended by itself before.
    pub(crate) run: Run,
}

/// A new session.
#[derive(SimpleObject)]
pub(crate) struct CreateSessionPayload {
    /// The session.
    pub(crate) session: Session,
}

/// A changed session.
#[derive(SimpleObject)]
pub(crate) struct UpdateSessionPayload {
    /// The session.
    pub(crate) session: Session,
}

/// A deleted session.
#[derive(SimpleObject)]
pub(crate) struct DeleteSessionPayload {
    /// The id of the deleted session.
    pub(crate) deleted_session_id: ID,
}

/// A new agent.
#[derive(SimpleObject)]
pub(crate) struct CreateAgentPayload {
    /// The agent, in its first version.
    pub(crate) agent: Agent,
}

/// A changed agent.
#[derive(SimpleObject)]
pub(crate) struct UpdateAgentPayload {
    /// The agent, in its new version.
    pub(crate) agent: Agent,
}

/// An agent with another current version.
#[derive(SimpleObject)]
pub(crate) struct SetCurrentAgentVersionPayload {
    /// The agent.
    pub(crate) agent: Agent,
}

/// A deleted agent.
#[derive(SimpleObject)]
pub(crate) struct DeleteAgentPayload {
    /// The agent, archived; its sessions still refer to it.
    pub(crate) agent: Agent,
    /// The id of the deleted agent.
    pub(crate) deleted_agent_id: ID,
}

/// The result of a tool call: an output or a failure.
#[derive(SimpleObject)]
pub(crate) struct CallToolPayload {
    /// The tool.
    pub(crate) tool: Tool,
    /// The output; null if the call failed.
    pub(crate) output: Option<Output>,
    /// The failure; null if the call succeeded.
    pub(crate) failure: Option<ToolFailure>,
}
