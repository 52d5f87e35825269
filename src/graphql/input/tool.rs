//! Input types of tools.

use async_graphql::{InputObject, Json};
use serde_json::Value;

/// A call of a tool.
#[derive(Debug, InputObject)]
pub(crate) struct CallToolInput {
    /// The tool's name.
    pub(crate) name: String,
    /// The arguments, a JSON object that matches the tool's `parameters`, such as `{"city":
    /// "Bern"}`; empty if absent.
    pub(crate) arguments: Option<Json<Value>>,
}
