//! What mutations return: the things they changed, so that a client's cache updates itself.

use std::sync::Arc;

use async_graphql::{ID, SimpleObject};

use super::agent::Agent;
use super::interrupt::Interrupt;
use super::message::Message;
use super::run::Run;
use super::session::Session;
use super::tool::{Output, Tool, ToolFailure};
use talkgraph_runtime::Started;

/// An answer, or how it failed, or what it takes to go on.
#[derive(SimpleObject)]
pub(crate) struct ChatPayload {
    /// The run, ended, or AWAITING_INPUT: its `interrupts` have to be answered, and
    /// `runEvents` tells the rest then. A failed run is data: see its `error`.
    pub(crate) run: Run,
    /// The session, which is new if none was given.
    pub(crate) session: Session,
    /// What the person said.
    pub(crate) user_message: Message,
    /// The answer; null when the run failed before there was any, or waits.
    pub(crate) message: Option<Message>,
}

/// A started run.
#[derive(SimpleObject)]
pub(crate) struct SendMessagePayload {
    /// The run, which `runEvents` follows.
    pub(crate) run: Run,
    /// The session, which is new if none was given.
    pub(crate) session: Session,
    /// What the person said.
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

/// A session that shows another branch.
#[derive(SimpleObject)]
pub(crate) struct SwitchBranchPayload {
    /// The session, with its new `head`.
    pub(crate) session: Session,
}

/// A session that begins as another one did.
#[derive(SimpleObject)]
pub(crate) struct ForkSessionPayload {
    /// The new session.
    pub(crate) session: Session,
}

/// Interrupts that are answered.
#[derive(SimpleObject)]
pub(crate) struct ResolveInterruptsPayload {
    /// The run: RUNNING after the last answer, AWAITING_INPUT while there are others to give.
    pub(crate) run: Run,
    /// The interrupts with their resolutions, in the order of the answers.
    pub(crate) interrupts: Vec<Interrupt>,
}

/// A run that was asked to stop.
#[derive(SimpleObject)]
pub(crate) struct CancelRunPayload {
    /// The run; CANCELLED unless it had ended by itself before.
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
    /// The id it had.
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
    /// The agent, archived: its sessions still name it.
    pub(crate) agent: Agent,
    /// The id it has.
    pub(crate) deleted_agent_id: ID,
}

/// A call of a tool: what it answered, or why it did not.
#[derive(SimpleObject)]
pub(crate) struct CallToolPayload {
    /// The tool.
    pub(crate) tool: Tool,
    /// What it answered; null when it failed.
    pub(crate) output: Option<Output>,
    /// Why it failed; null when it did not.
    pub(crate) failure: Option<ToolFailure>,
}
