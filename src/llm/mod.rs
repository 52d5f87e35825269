//! Chat models: what is asked of them, what they stream back, and how they fail.
//!
//! One file or folder per vendor, all behind [`ChatModel`].

#[cfg(feature = "embedded-model")]
pub mod embedded;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod openai;
pub(crate) mod registry;
pub(crate) mod resilient;
pub(crate) mod sse;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use error::LlmError;
pub use http::{HttpSettings, http_client};
pub use openai::{OpenAi, OpenAiSettings, OpenAiSettingsError};
pub use registry::{Answering, Models};
pub use resilient::Resilience;

use crate::domain::{FinishReason, Usage};

/// Who speaks, in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    /// The agent's instructions.
    System,
    /// The person.
    User,
    /// The model, in earlier turns.
    Assistant,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: ChatRole,
    /// The text.
    pub content: String,
}

/// How the model samples; what is absent is left to the model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sampling {
    /// Randomness, 0 to 2.
    pub temperature: Option<f32>,
    /// The probability mass considered, above 0 and up to 1.
    pub top_p: Option<f32>,
    /// Makes sampling repeatable where the model supports it.
    pub seed: Option<u64>,
}

/// One model call.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The model's name, without its provider.
    pub model: String,
    /// The prompt, oldest first.
    pub messages: Vec<ChatMessage>,
    /// How to sample.
    pub sampling: Sampling,
    /// The longest answer, in tokens; the provider's own limit when absent.
    pub max_output_tokens: Option<u32>,
}

/// A piece of a model's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamPart {
    /// Text of the answer.
    Text(String),
    /// Text of the model's reasoning.
    Reasoning(String),
    /// What the call used; the last one counts.
    Usage(Usage),
    /// Why the answer ended. Nothing but usage follows.
    Finish(FinishReason),
}

/// The pieces of one answer, ready for the executor. Dropping it cancels the call.
pub type PartStream = BoxStream<'static, Result<StreamPart, LlmError>>;

/// A provider of chat models.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Starts a call. The stream ends after the provider's last part; an answer that
    /// was cut is an error, never a silent end.
    async fn stream(&self, request: ChatRequest) -> Result<PartStream, LlmError>;

    /// Whether the model could be called now, for readiness; must be cheap.
    fn is_ready(&self) -> bool {
        true
    }
}
