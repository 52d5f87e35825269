//! Client tools: declared in a request, and executed by the client.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The maximum number of tools in one request: each is part of the prompt of every model call.
pub const MAX_CLIENT_TOOLS: usize = 32;

/// The maximum total size of a request's tools, in bytes of their names, descriptions and schemas.
pub const MAX_CLIENT_TOOLS_BYTES: usize = 65_536;

/// A tool that the client executes when the model calls it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientTool {
    /// Its name, as the model calls it.
    pub name: String,
    /// A description of its purpose and use, for the model.
    pub description: String,
    /// The JSON Schema of its arguments, whose type is `object`.
    pub parameters: Value,
}
