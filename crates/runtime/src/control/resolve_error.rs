//! Why answers are not taken.

use thiserror::Error;

use talkgraph_domain::{InterruptId, RunId};
use talkgraph_store::StoreError;

/// Why answers were not taken; none of them was. `at` counts the answers from 0.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The caller's: no such run, or somebody else's.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// The caller's: the run has no such interrupt.
    #[error("the run has no interrupt {interrupt}")]
    Unknown {
        /// Which answer.
        at: usize,
        /// What it is to.
        interrupt: InterruptId,
    },
    /// The caller's: two answers to one interrupt.
    #[error("{interrupt} is answered twice")]
    Twice {
        /// The second of them.
        at: usize,
        /// What it is to.
        interrupt: InterruptId,
    },
    /// The caller's: a client's call is not approved but made, and only by the client.
    #[error("{}", if *.approves { "a ClientToolCall takes `result` or `reject`, not `approve`" }
        else { "a ToolApproval takes `approve` or `reject`, not `result`" })]
    Kind {
        /// Which answer.
        at: usize,
        /// Whether it approves.
        approves: bool,
    },
    /// The caller's: a question of a tool's server is answered, and nothing else is.
    #[error("an InputRequest takes `answer`, and nothing else does")]
    Answer {
        /// Which answer.
        at: usize,
    },
    /// The caller's: the content does not match the question's schema.
    #[error("the content is not valid: {why}")]
    Content {
        /// Which answer.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The caller's: the tool does not take the edited arguments.
    #[error("the arguments are not valid: {why}")]
    Arguments {
        /// Which answer.
        at: usize,
        /// What is wrong with them.
        why: String,
    },
    /// The caller's: the interrupt has another answer.
    #[error("{interrupt} was answered before, and differently")]
    Resolved {
        /// Which answer.
        at: usize,
        /// What it is to.
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
        /// Which answer.
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
