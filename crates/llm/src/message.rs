//! The messages of a prompt.

/// The author of a message in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    /// The agent's instructions.
    System,
    /// The person.
    User,
    /// The model, in earlier turns and steps.
    Assistant,
    /// The tools, with the results of the calls in the preceding assistant message.
    Tool,
}

/// One message of a prompt.
///
/// Content that a role cannot have is left out of the request: a system message has text, a user's
/// text and files, an assistant's text, reasoning and tool calls, and a tool's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// The author.
    pub role: ChatRole,
    /// The content, in order. The results of all calls of one answer are one message.
    pub content: Vec<Content>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Plain text or Markdown.
    Text(String),
    /// The model's reasoning. Some vendors require it with the tool calls that followed it; each
    /// accepts only its own, and the others' is left out.
    Reasoning {
        /// The text; empty where the vendor keeps it to itself.
        text: String,
        /// The vendor's signature, as received in [`super::StreamPart`]: to be stored and sent back
        /// unchanged. It begins with the vendor's name and the data that binds it.
        signature: Option<String>,
    },
    /// A call of a tool.
    ToolCall {
        /// The id that the result refers to.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments, as JSON text. Text that is not a JSON object is sent back as an empty
        /// object, as providers refuse a history with anything else.
        arguments: String,
    },
    /// The result of a tool call.
    ToolResult {
        /// The id of the call.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The text for the model.
        text: String,
        /// True if the call failed, for the vendors that distinguish this.
        is_error: bool,
    },
    /// An image, a document or a recording. A provider that does not accept it, or not in this
    /// form, fails the call with [`super::LlmError::Rejected`] (415) before anything is sent.
    File {
        /// Its media type: `image/png`, `application/pdf`.
        media_type: String,
        /// Its content.
        data: FileData,
        /// Its name, where it has one.
        name: Option<String>,
    },
}

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileData {
    /// The bytes, in the standard alphabet of Base64, with padding.
    Base64(String),
    /// The URL from which the provider can fetch it. This server does not.
    Url(String),
}

impl ChatMessage {
    /// Creates a message of a text alone.
    pub fn text(role: ChatRole, text: impl Into<String>) -> Self {
        Self {
            role,
            content: vec![Content::Text(text.into())],
        }
    }

    /// Creates instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self::text(ChatRole::System, text)
    }

    /// Creates a message of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(ChatRole::User, text)
    }

    /// Creates a message of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(ChatRole::Assistant, text)
    }

    /// The concatenation of all its text.
    pub fn all_text(&self) -> String {
        let texts = self.content.iter().filter_map(Content::as_text);
        texts.collect()
    }
}

impl Content {
    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
