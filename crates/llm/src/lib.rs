//! Chat models: what is asked of them, what they stream back, and how they fail.
//!
//! One folder per vendor, all behind [`ChatModel`]. What every vendor's API has in common
//! stands beside them: `provider` sends a request, `answer` reads the response within the
//! limits of `pace`, a vendor's `protocol` makes `parts` of it.

mod answer;
mod anthropic;
mod arguments;
mod calls;
pub mod capabilities;
mod connection;
#[cfg(feature = "embedded-model")]
pub mod embedded;
mod encoding;
pub(crate) mod error;
mod fault;
mod gemini;
mod halves;
pub(crate) mod http;
mod lenient;
mod mend;
mod message;
mod offline;
mod openai;
mod pace;
mod parts;
mod past;
mod prices;
mod protocol;
mod provider;
mod reader;
pub(crate) mod registry;
mod request;
pub(crate) mod resilient;
mod responses;
mod results;
#[cfg(test)]
mod samples;
mod schema;
pub(crate) mod sse;
mod think;
mod tokens;
mod turns;
mod unsupported;
mod usual;
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
pub use past::Past;
pub use prices::Price;
pub use provider::{Provider, ProviderKind, ProviderSettings};
pub use registry::{Answering, Models, Prompt};
pub use request::{ChatRequest, OutputSchema, Reasoning, Sampling, ToolSpec};
pub use resilient::Resilience;
pub use tokens::most_tokens;
pub use unsupported::ParameterMemory;
pub use usual::USUAL_MODELS;

pub use talkgraph_domain::ToolChoice;
use talkgraph_domain::{FinishReason, Usage};

/// A piece of a model's answer.
///
/// Tool calls are numbered from 0 in the order in which they start, and calls made in
/// parallel may come interleaved. For each there is one [`StreamPart::ToolCallStarted`],
/// then its arguments, then one [`StreamPart::ToolCallCompleted`]. A call that is not
/// completed when the answer ends was cut by a limit ([`FinishReason::Length`]) and must
/// not be made.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamPart {
    /// Text of the answer.
    Text(String),
    /// All text of this answer so far, but for white space at its end, was the model's reasoning:
    /// only now has the tag come that ends it. No call, reasoning or signature has come before.
    TextWasReasoning,
    /// Text of the model's reasoning.
    Reasoning(String),
    /// What belongs into [`Content::Reasoning`]'s `signature`, with what binds it. It ends the reasoning before
    /// it: reasoning that follows is a part of its own. Where nothing but a signature came
    /// (the vendor keeps the text to itself), it makes a reasoning without text.
    ReasoningSignature(String),
    /// The model calls a tool.
    ToolCallStarted {
        /// The call's number in this answer.
        index: u32,
        /// The provider's name for the call, or one made up here where it gives none;
        /// [`Content::ToolResult`] answers to it.
        id: String,
        /// The tool's name, as the model says it: there may be no such tool.
        name: String,
    },
    /// More of a call's arguments.
    ToolCallArguments {
        /// The call's number in this answer.
        index: u32,
        /// JSON text, cut anywhere. All of it together is never empty, and may all the
        /// same be no JSON: it is what the model wrote.
        delta: String,
    },
    /// All arguments of a call have come.
    ToolCallCompleted {
        /// The call's number in this answer.
        index: u32,
    },
    /// What the call used; the last one counts.
    Usage(Usage),
    /// What the call used is not known, whatever came before: the provider's numbers are none
    /// that can be counted with.
    UsageUnknown,
    /// Why the answer ended; [`FinishReason::ToolCalls`] when it is the tools' turn. Without a
    /// call it says that the model has tried to call a tool in a way that its provider could
    /// not read. Nothing but usage follows.
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

    /// The tokens of a text, where the model's own tokenizer is at hand.
    fn count_tokens(&self, _text: &str) -> Option<u64> {
        None
    }

    /// Whether the model is told of tools.
    fn sees_tools(&self) -> bool {
        true
    }

    /// Whether the model could be called now, for readiness; must be cheap.
    fn is_ready(&self) -> bool {
        true
    }
}
