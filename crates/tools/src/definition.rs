//! Definitions of tools: name, parameters and limits.

use std::time::Duration;

use serde_json::Value;

use super::Approval;

/// The longest name of a tool: what all providers accept.
pub const MAX_NAME_CHARS: usize = 64;

/// A tool as models and people see it, and its limits.
#[derive(Debug, Clone)]
pub struct ToolDefinition {
    /// Unique in the server; 1 to 64 of letters, digits, `_` and `-`.
    pub name: String,
    /// A description of its purpose and use, for models.
    pub description: String,
    /// The JSON Schema of its arguments, whose type is `object`.
    pub parameters: Value,
    /// True if calling it twice has the same effect as calling it once: a call in doubt may then be
    /// repeated.
    pub idempotent: bool,
    /// The calls that a person has to approve.
    pub approval: Approval,
    /// The time limit of a call.
    pub timeout: Duration,
    /// The largest output, in bytes of UTF-8; more is cut.
    pub output_bytes: usize,
}

/// Returns true if a tool may have this name: `[a-zA-Z0-9_-]{1,64}`, which OpenAI, Anthropic and
/// Gemini all accept.
pub fn is_valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.bytes().all(allowed)
}
