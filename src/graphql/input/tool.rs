//! What clients say to a tool.

use async_graphql::{InputObject, Json};
use serde_json::Value;

/// A call of a tool.
#[derive(Debug, InputObject)]
pub(crate) struct CallToolInput {
    /// The tool's name.
    pub(crate) name: String,
    /// The arguments, a JSON object as the tool's `parameters` want it; none when absent.
    pub(crate) arguments: Option<Json<Value>>,
}
