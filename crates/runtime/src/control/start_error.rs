//! Refusals of starts.

use thiserror::Error;

use talkgraph_domain::{MessageId, RunId, SessionId};
use talkgraph_evaluation::Failure;
use talkgraph_store::StoreError;

/// A refusal of a start. Nothing is stored.
#[derive(Debug, Error)]
pub enum StartError {
    /// The caller's: no agent of this name.
    #[error("there is no agent {0:?}")]
    UnknownAgent(String),
    /// The caller's: no such session, or one of another owner.
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    /// The caller's: no such message, or one of another owner.
    #[error("there is no message {0}")]
    UnknownMessage(MessageId),
    /// The caller's: an answer, where only what a user says will do.
    #[error("{0} is an answer; give the id of what a user said")]
    NotFromUser(MessageId),
    /// The caller's: a message that waits for its turn has no place in the tree.
    #[error("{0} still waits for its turn")]
    Unplaced(MessageId),
    /// The caller's: a file that no model of the agent takes.
    #[error("no model of agent {agent:?} takes files of type {mime_type}")]
    FileNotTaken {
        /// The number of the file, from 0.
        at: usize,
        /// Its MIME type.
        mime_type: String,
        /// The agent.
        agent: String,
    },
    /// The caller's: a file is not what it is said to be, or cannot be had.
    #[error("{why}")]
    File {
        /// The number of the file, from 0.
        at: usize,
        /// The part of it: `url` or `mimeType`.
        part: &'static str,
        /// The reason.
        why: String,
    },
    /// The caller's: a tool is to be called that the agent does not have.
    #[error("agent {agent:?} has no {}", tool_named(.tool.as_deref()))]
    NoTool {
        /// The agent.
        agent: String,
        /// The tool; any will do when absent.
        tool: Option<String>,
    },
    /// The caller's: the session belongs to another agent than the one named.
    #[error("the session belongs to agent {0:?}; leave `agent` out or start a new session")]
    OtherAgent(String),
    /// The caller's: the session's agent is no longer configured.
    #[error("the session's agent is no longer available; start a new session")]
    ArchivedAgent,
    /// The caller's: the agent's instructions use what was not given.
    #[error("the agent's instructions need variables that are missing: {0}")]
    MissingVariables(String),
    /// The caller's: a variable is not what the agent's instructions need.
    #[error("the agent's instructions cannot be rendered with these variables: {0}")]
    Variables(String),
    /// The caller's: the schema of the answer cannot be used.
    #[error("{0}")]
    OutputSchema(String),
    /// Ours, for now: what the caller sent could not be looked at.
    #[error("{0}")]
    Unchecked(Failure),
    /// The caller's: one answer at a time.
    #[error("the session has an active run, {0}; wait for it or cancel it")]
    ActiveRun(RunId),
    /// The caller's: as many as may wait in the session do so.
    #[error("as many messages as may wait in the session do so; try again when one is answered")]
    SessionQueueFull,
    /// The caller's: too many tools of its own, or too large ones.
    #[error("{0}")]
    ClientTools(String),
    /// The caller's: one of its own tools cannot be sent to a model.
    #[error("{why}")]
    ClientTool {
        /// The number of the tool, from 0.
        at: usize,
        /// The part of it: `name`, `description` or `parameters`.
        part: &'static str,
        /// The reason.
        why: String,
    },
    /// The caller's: the key stands for something else.
    #[error("the key was used for something else; use a new one")]
    KeyReused,
    /// The caller's: what the key has started is gone.
    #[error("what this key has started was deleted; use a new one")]
    KeyOfDeleted,
    /// Ours, for now: only the server that makes a run can stop it.
    #[error(
        "the session's active run, {0}, is made by another server and cannot be stopped from this one"
    )]
    Elsewhere(RunId),
    /// Ours, for now: the run that was to make room has not ended in time.
    #[error("the session's active run, {0}, has been stopped but has not ended yet; try again")]
    StillActive(RunId),
    /// Ours, for now: too many runs wait.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// Ours, for now: the server is stopping.
    #[error("the server is stopping; try again in a moment")]
    Draining,
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours: the task that starts runs was lost.
    #[error("the run could not be started: {0}")]
    Lost(String),
}

fn tool_named(tool: Option<&str>) -> String {
    tool.map_or_else(|| "tools".to_owned(), |name| format!("tool {name:?}"))
}
