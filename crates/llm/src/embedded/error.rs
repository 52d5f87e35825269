//! Errors of the embedded model.

use std::path::PathBuf;

use thiserror::Error;

/// An error of the embedded model. Errors of the weights file explain how to fix it, because the
/// operator who starts the server reads them.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// The weights file does not exist.
    #[error("no model weights at {}: run scripts/fetch-model", .path.display())]
    Missing {
        /// The expected path.
        path: PathBuf,
    },
    /// The file has the wrong length, as after an interrupted download.
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
    /// The file has the right length and the wrong content.
    #[error(
        "the model weights at {} are damaged or another model's (wrong SHA-256): \
         remove the file and run scripts/fetch-model", .path.display()
    )]
    WrongHash {
        /// The file.
        path: PathBuf,
    },
    /// The operating system could not read the file.
    #[error("the model weights at {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The settings require something that the model does not support.
    #[error("the embedded model's settings: {0}")]
    Settings(String),
    /// The file is the right one and has unexpected content: a bug here.
    #[error("the model weights do not fit this server: {0}")]
    Format(String),
    /// The queue is full; the same request may succeed later.
    #[error("the embedded model already has {limit} requests waiting")]
    Busy {
        /// The number of requests that may wait.
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
    /// The engine's threads have ended, which happens only at the end of the process.
    #[error("the embedded model has stopped")]
    Stopped,
    /// The computation failed. For the log; it contains nothing of the conversation.
    #[error("the embedded model's computation failed: {0}")]
    Compute(String),
}

impl From<candle_core::Error> for EmbeddedError {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.to_string())
    }
}
