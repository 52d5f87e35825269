//! Refusals of answers to interrupts.

use thiserror::Error;

use talkgraph_domain::{InterruptId, RunId};
use talkgraph_store::StoreError;

/// A refusal of answers to interrupts; none of them is stored.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The caller's: no such run, or one of another owner.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// The caller's: the run has no such interrupt.
    #[error("the run has no interrupt {interrupt}")]
    Unknown {
        /// The number of the answer, from 0.
        at: usize,
        /// The interrupt that it answers.
        interrupt: InterruptId,
    },
    /// The caller's: two answers to one interrupt.
    #[error("{interrupt} is answered twice")]
    Twice {
        /// The second of them.
        at: usize,
        /// The interrupt that it answers.
        interrupt: InterruptId,
    },
    /// The caller's: a client tool is called by the client, and not approved.
    #[error("{}", if *.approves { "a ClientToolCall takes `result` or `reject`, not `approve`" }
        else { "a ToolApproval takes `approve` or `reject`, not `result`" })]
    Kind {
        /// The number of the answer, from 0.
        at: usize,
        /// True if it approves.
        approves: bool,
    },
    /// The caller's: a question of a tool's server is answered, and nothing else is.
    #[error("an InputRequest takes `answer`, and nothing else does")]
    Answer {
        /// The number of the answer, from 0.
        at: usize,
    },
    /// The caller's: the content does not match the question's schema.
    #[error("the content is not valid: {why}")]
    Content {
        /// The number of the answer, from 0.
        at: usize,
        /// The reason.
        why: String,
    },
    /// The caller's: the tool does not take the edited arguments.
    #[error("the arguments are not valid: {why}")]
    Arguments {
        /// The number of the answer, from 0.
        at: usize,
        /// The reason.
        why: String,
    },
    /// The caller's: the interrupt has another answer.
    #[error("{interrupt} was answered before, and differently")]
    Resolved {
        /// The number of the answer, from 0.
        at: usize,
        /// The interrupt that it answers.
        interrupt: InterruptId,
    },
    /// The caller's: the key stands for something else.
    #[error("the key was used for something else; use a new one")]
    KeyReused,
    /// Ours, for now: the tool whose arguments were edited is not there at the moment.
    #[error(
        "the tool {tool:?} is not there at the moment, so that its arguments cannot be checked"
    )]
    NoTool {
        /// The number of the answer, from 0.
        at: usize,
        /// The tool.
        tool: String,
    },
    /// Ours, for now: the server is stopping.
    #[error("the server is stopping; try again in a moment")]
    Draining,
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours: the task that takes answers was lost.
    #[error("the answers could not be taken: {0}")]
    Lost(String),
}
