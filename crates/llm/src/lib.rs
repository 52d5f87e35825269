//! Chat models: requests, streamed answers, and errors.
//!
//! One folder per vendor, all behind [`ChatModel`]. The common modules are next to them: `provider`
//! sends a request, `response_stream` reads the response within the limits of `call_timeouts`, and
//! a vendor's `protocol` decodes it into `parts`.

mod anthropic;
mod arguments;
mod call_timeouts;
mod calls;
pub mod capabilities;
mod connection;
mod conversation;
#[cfg(feature = "embedded-model")]
pub mod embedded;
mod encoding;
pub(crate) mod error;
mod gemini;
pub(crate) mod http;
mod json_repair;
mod lenient;
mod message;
mod offline;
mod openai;
mod parts;
mod prices;
mod protocol;
mod provider;
mod provider_error;
mod reader;
mod reasoning_tags;
pub(crate) mod registry;
mod request;
pub(crate) mod resilient;
mod response_stream;
mod responses;
mod results;
#[cfg(test)]
mod samples;
mod schema;
mod signed_reasoning;
mod split_characters;
pub(crate) mod sse;
mod tokens;
mod unsupported;
mod usual_models;
mod wire;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use calls::{MAX_ARGUMENTS_BYTES, MAX_TOOL_CALLS};
pub use capabilities::{Capabilities, ChatProtocol, Origin};
pub use connection::{ConnectionSettings, ProviderSettingsError};
pub use error::{LlmError, Named, Unusable};
pub use http::{HttpSettings, http_client};
pub use message::{ChatMessage, ChatRole, Content, FileData};
#[doc(hidden)]
pub use offline::read_answer;
pub use prices::Price;
pub use provider::{Provider, ProviderKind, ProviderSettings};
pub use registry::{Answering, Models, Prompt};
pub use request::{ChatRequest, OutputSchema, Reasoning, Sampling, ToolSpec};
pub use resilient::Resilience;
pub use signed_reasoning::Past;
pub use tokens::most_tokens;
pub use unsupported::ParameterMemory;
pub use usual_models::USUAL_MODELS;

pub use talkgraph_domain::ToolChoice;
use talkgraph_domain::{FinishReason, Usage};

/// A piece of a model's answer.
///
/// Tool calls are numbered from 0 in the order in which they start, and parallel calls may be
/// interleaved. Each has one [`StreamPart::ToolCallStarted`], then its arguments, then one
/// [`StreamPart::ToolCallCompleted`]. A call that is not completed when the answer ends was cut by
/// a limit ([`FinishReason::Length`]) and must not be executed.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamPart {
    /// Text of the answer.
    Text(String),
    /// All text of this answer so far, except white space at its end, was the model's reasoning:
    /// its closing tag has only now arrived. No call, reasoning or signature precedes it.
    TextWasReasoning,
    /// Text of the model's reasoning.
    Reasoning(String),
    /// The value of [`Content::Reasoning`]'s `signature`, with the data that binds it. It ends the
    /// preceding reasoning: further reasoning is a new part. If only a signature arrived (the
    /// vendor keeps the text to itself), it creates a reasoning without text.
    ReasoningSignature(String),
    /// The model calls a tool.
    ToolCallStarted {
        /// The call's number in this answer.
        index: u32,
        /// The provider's id of the call, or a generated one if there is none;
        /// [`Content::ToolResult`] refers to it.
        id: String,
        /// The tool's name, as the model wrote it: there may be no such tool.
        name: String,
    },
    /// More of a call's arguments.
    ToolCallArguments {
        /// The call's number in this answer.
        index: u32,
        /// JSON text, cut anywhere. The concatenation is never empty, but may be invalid JSON: it
        /// is what the model wrote.
        delta: String,
    },
    /// All arguments of a call have arrived.
    ToolCallCompleted {
        /// The call's number in this answer.
        index: u32,
    },
    /// The usage of the call; the last one counts.
    Usage(Usage),
    /// The usage of the call is unknown, even if some was reported before: the provider's numbers
    /// are invalid.
    UsageUnknown,
    /// The reason why the answer ended; [`FinishReason::ToolCalls`] when tools are to be called.
    /// Without a call it means that the model has tried to call a tool in a way that its provider
    /// could not parse. Only usage may follow.
    Finish(FinishReason),
}

/// The pieces of one answer, ready for the executor. Dropping it cancels the call.
pub type PartStream = BoxStream<'static, Result<StreamPart, LlmError>>;

/// A provider of chat models.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Starts a call. The stream ends after the provider's last part; an interrupted answer is an
    /// error, never a silent end.
    async fn stream(&self, request: ChatRequest) -> Result<PartStream, LlmError>;

    /// The number of tokens of a text, if the model's own tokenizer is available.
    fn count_tokens(&self, _text: &str) -> Option<u64> {
        None
    }

    /// Returns true if tools are sent to the model.
    fn sees_tools(&self) -> bool {
        true
    }

    /// Returns true if the model could be called now, for readiness; must be cheap.
    fn is_ready(&self) -> bool {
        true
    }
}
