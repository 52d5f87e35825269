//! How the embedded model fails.

use std::path::PathBuf;

use thiserror::Error;

/// What the embedded model refuses or cannot do. Every fault of the weights file says
/// how to mend it, because it is read by whoever starts the server.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// There is no weights file.
    #[error("no model weights at {}: run scripts/fetch-model", .path.display())]
    Missing {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// The file's length is not the model's, as after a download that was cut.
    #[error(
        "the model weights at {} have {found} bytes instead of {expected}: \
         remove the file and run scripts/fetch-model", .path.display()
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The model's length in bytes.
        expected: u64,
    },
    /// The length is right and the content is not.
    #[error(
        "the model weights at {} are damaged or another model's (wrong SHA-256): \
         remove the file and run scripts/fetch-model", .path.display()
    )]
    WrongHash {
        /// The file.
        path: PathBuf,
    },
    /// The operating system would not let us read the file.
    #[error("the model weights at {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The settings ask for something the model cannot do.
    #[error("the embedded model's settings: {0}")]
    Settings(String),
    /// The file is the right one and still not what this code expects: a bug here.
    #[error("the model weights do not fit this server: {0}")]
    Format(String),
    /// All places are taken; the same request may succeed in a moment.
    #[error("the embedded model already has {limit} requests waiting")]
    Busy {
        /// How many requests may wait.
        limit: usize,
    },
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt_tokens} tokens, and the embedded model takes fewer than {limit}"
    )]
    ContextExceeded {
        /// The prompt's length in tokens; a lower bound if the text was too long to encode.
        prompt_tokens: usize,
        /// The context's size in tokens, prompt and answer together.
        limit: usize,
    },
    /// The engine's threads have ended, which happens only when the process goes down.
    #[error("the embedded model has stopped")]
    Stopped,
    /// The computation failed. For the log; nothing of the conversation is in it.
    #[error("the embedded model's computation failed: {0}")]
    Compute(String),
}

impl From<candle_core::Error> for EmbeddedError {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.to_string())
    }
}
