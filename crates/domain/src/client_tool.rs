//! Tools that a client has and makes known with what it asks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most tools that one request may bring: each is told to the model with every call.
pub const MAX_CLIENT_TOOLS: usize = 32;

/// The most that all tools of one request may have together, in bytes of their names,
/// descriptions and schemas.
pub const MAX_CLIENT_TOOLS_BYTES: usize = 65_536;

/// A tool that the client calls, when the model wants it called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientTool {
    /// What the model calls it.
    pub name: String,
    /// Tells the model what it does and when to use it.
    pub description: String,
    /// The JSON Schema of its arguments, whose type is `object`.
    pub parameters: Value,
}
