//! `embedded/smollm2-135m`: SmolLM2-135M-Instruct inside this process, on the CPU, with no other
//! server and no key. It shows real streaming and holds a small conversation; it is too small for
//! facts or for tools. So tools are not part of its prompt and it never calls one, even if a
//! request requires it; results of tools are left out of its prompt. An output schema is part of
//! its prompt and enforced (`form`). A request with a file is refused.
//!
//! The path of a request: `engine` queues it, and its threads execute it in turns (`generation`),
//! so that a long prompt delays no short one. `template` and `tokenizer` convert the messages to
//! tokens, `conversations` returns the cached prefix (`kv`), `model` reads the rest in slices and
//! then generates one token after another, which `sampling` chooses.

mod conversations;
mod engine;
mod error;
mod form;
mod generation;
mod kv;
mod model;
mod provider;
mod sampling;
mod template;
#[cfg(test)]
mod tests;
mod tokenizer;
mod weights;

use std::env;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc::Receiver;

pub use error::EmbeddedError;

use self::engine::Engine;
use self::generation::Loaded;
use self::weights::Gguf;
use super::{ChatRequest, StreamPart};

/// The model's name after `embedded/`.
pub const MODEL_NAME: &str = "smollm2-135m";

/// The variable with the library's number of threads for one product.
const KERNEL_THREADS_VARIABLE: &str = "CANDLE_NUM_THREADS";

/// Makes each product of the network run on the calling thread. Must be called first in `main`,
/// before any other thread exists; a value from outside is kept.
///
/// The library's own threads wait for each other in a busy loop, some 200 times a token. Alone on
/// the machine that gives a third more tokens; next to a busy server it gives a tenth of them,
/// because one thread spins while the other has no core.
pub fn prefer_single_threaded_products() {
    let assignment = format!("{KERNEL_THREADS_VARIABLE}=1");
    // Parsing a text in memory fails only for malformed text.
    let _ = dotenvy::from_read(assignment.as_bytes());
}

/// Settings of the embedded model.
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    /// The weights file, as `scripts/fetch-model` stores it.
    pub model_path: PathBuf,
    /// The number of computing threads; 0 for one per core. Two more answers than threads are
    /// active at a time, in turns.
    pub threads: usize,
    /// The number of requests that may wait for a thread; one more is refused as busy.
    pub queue_limit: usize,
    /// Prompt and answer together, in tokens; at most 8,192. Memory grows by 46 kB a token.
    pub context_tokens: usize,
    /// The number of conversations kept in memory so that a next turn starts sooner; 0 for none.
    pub cached_conversations: usize,
}

/// The loaded model. Cheap to clone; all clones share the weights and the queue.
#[derive(Clone)]
pub struct EmbeddedModel {
    engine: Arc<Engine>,
}

impl EmbeddedModel {
    /// Verifies and loads the weights and starts the engine. Blocks for about a second.
    ///
    /// # Errors A weights file that is missing, cut or a different one; settings out of range.
    pub fn load(settings: &EmbeddedSettings) -> Result<Self, EmbeddedError> {
        if env::var_os(KERNEL_THREADS_VARIABLE).is_none() {
            tracing::warn!("{KERNEL_THREADS_VARIABLE} is not set: slow while other cores are busy");
        }
        let gguf = Gguf::open(&settings.model_path)?;
        let loaded = Loaded::new(
            &gguf,
            settings.context_tokens,
            settings.cached_conversations,
        )?;
        drop(gguf);
        let threads = match settings.threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let engine = Engine::start(loaded, threads, settings.queue_limit)?;
        Ok(Self {
            engine: Arc::new(engine),
        })
    }

    /// The number of tokens of a text; none if it cannot be encoded.
    pub fn count_tokens(&self, text: &str) -> Option<usize> {
        self.engine.count_tokens(text)
    }

    /// Queues an answer and returns at once. Its parts arrive on the receiver: text, then usage,
    /// then finish; or an error, which is the last item. Dropping the receiver cancels the answer
    /// before its next token.
    ///
    /// # Errors [`EmbeddedError::Busy`] when too many wait; [`EmbeddedError::ContextExceeded`] when
    /// the prompt cannot fit by its length alone (one that turns out too long once it is encoded
    /// gets the same error on the receiver).
    pub fn generate(
        &self,
        request: ChatRequest,
    ) -> Result<Receiver<Result<StreamPart, EmbeddedError>>, EmbeddedError> {
        self.engine.submit(request)
    }
}
