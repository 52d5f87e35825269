//! The messages of a prompt.

/// Who speaks, in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    /// The agent's instructions.
    System,
    /// The person.
    User,
    /// The model, in earlier turns and steps.
    Assistant,
    /// The tools, with the results of the calls in the assistant's message before.
    Tool,
}

/// One message of a prompt.
///
/// What a role cannot say is left out of the request: a system message has text, a user's
/// text and files, an assistant's text, reasoning and tool calls, and a tool's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: ChatRole,
    /// What is said, in order. The results of all calls of one answer are one message.
    pub content: Vec<Content>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Plain text or Markdown.
    Text(String),
    /// What the model thought. Some vendors want it back with the tool calls that it led
    /// to; each takes only what it wrote itself, and the others' is left out.
    Reasoning {
        /// The text; empty where the vendor keeps it to itself.
        text: String,
        /// The vendor's proof that it wrote this, as [`super::StreamPart`] gave it: to be
        /// kept and sent back as it is. It begins with the vendor's name and what binds it.
        signature: Option<String>,
    },
    /// A call of a tool.
    ToolCall {
        /// What the result refers to.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments, as JSON text. What is no JSON object is sent back as an empty
        /// one, as providers refuse a history with anything else.
        arguments: String,
    },
    /// What a tool gave.
    ToolResult {
        /// The id of the call.
        call_id: String,
        /// The tool's name.
        name: String,
        /// What the model is told.
        text: String,
        /// Whether the call failed, for the vendors that make a difference.
        is_error: bool,
    },
    /// An image, a document or a recording. A provider that cannot take it, or not in this
    /// form, fails the call with [`super::LlmError::Rejected`] (415) before anything is
    /// sent.
    File {
        /// Its type: `image/png`, `application/pdf`.
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
    /// Where the provider can fetch it. This server does not.
    Url(String),
}

impl ChatMessage {
    /// A message of nothing but text.
    pub fn text(role: ChatRole, text: impl Into<String>) -> Self {
        Self {
            role,
            content: vec![Content::Text(text.into())],
        }
    }

    /// Instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self::text(ChatRole::System, text)
    }

    /// What the person says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(ChatRole::User, text)
    }

    /// What the model has said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(ChatRole::Assistant, text)
    }

    /// All its text, one piece after the other.
    pub fn all_text(&self) -> String {
        let texts = self.content.iter().filter_map(Content::as_text);
        texts.collect()
    }
}

impl Content {
    /// The text, if it is that.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
