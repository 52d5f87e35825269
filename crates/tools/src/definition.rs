//! What a tool is called, what it takes, and within which bounds it works.

use std::time::Duration;

use serde_json::Value;

use super::Approval;

/// The longest name of a tool: what all providers accept.
pub const MAX_NAME_CHARS: usize = 64;

/// A tool as models and people see it, and its bounds.
#[derive(Debug, Clone)]
pub struct ToolDefinition {
    /// Unique in the server; 1 to 64 of letters, digits, `_` and `-`.
    pub name: String,
    /// Tells a model what it does and when to use it.
    pub description: String,
    /// The JSON Schema of its arguments, whose type is `object`.
    pub parameters: Value,
    /// Whether calling it twice does no more than calling it once: a call in doubt may then
    /// be repeated.
    pub idempotent: bool,
    /// Which calls a person has to approve.
    pub approval: Approval,
    /// How long a call may take.
    pub timeout: Duration,
    /// The largest output, in bytes of UTF-8; more is cut.
    pub output_bytes: usize,
}

/// Whether a tool may be called that: `[a-zA-Z0-9_-]{1,64}`, as OpenAI, Anthropic and Gemini
/// all accept.
pub fn is_valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.bytes().all(allowed)
}
